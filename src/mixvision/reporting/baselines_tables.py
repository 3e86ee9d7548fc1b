"""Tables of the baselines: every trial's numbers, models side by side, ablations, and what a leak promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixvision.reporting.tables import DASH, interval, markdown_table, number

SETTINGS = ("batch_size", "learning_rate", "dropout", "augmentation")
AUGMENTATIONS = ("none", "on the fly", "expand")
FLOORS = {"linear": "linear layer", "random": "random guessing"}  # models that tell how easy the images are

_SPLITS = ("train", "validation", "test")
_LEAKY = "augment first, then split (leaky)"
_HONEST = "split first, then augment (honest)"


def trial_table(
    trials: pd.DataFrame,
    metrics: pd.DataFrame,
    intervals: pd.DataFrame,
    history: pd.DataFrame,
    outcomes: pd.DataFrame,
    published: Mapping[str, Any] | None,
    base: Mapping[str, Any],
) -> pd.DataFrame:
    """All numbers of the run, for a CSV file.

    Args:
        trials: one row per trial: ``trial``, ``model``, ``seed``, the four :data:`SETTINGS` and ``split_first``.
        metrics: what :func:`mixvision.evaluation.classification.accuracies` returns.
        intervals: what :func:`mixvision.evaluation.classification.accuracy_intervals` returns, of best_validation.
        history: one row per trial, epoch and split, with ``top1``.
        outcomes: one row per trial: ``status``, ``best_epoch``, ``epochs``, ``parameters``, ``seconds``.
        published: ``{"source", "note", "rows"}``, or None. A row names its ``model`` and the settings that differ from
            ``base``, and holds ``train``, ``validation`` or ``test`` accuracy.
        base: the study's settings by name.

    Returns:
        One row per trial, in the order of ``trials``: its columns, those of ``outcomes`` named above, ``train_top1``
        (of the best epoch), ``validation_top1``, ``test_top1``, ``test_low`` and ``test_high`` (best_validation),
        ``last_validation_top1``, ``last_test_top1``, ``nice_test_top1`` and ``real_test_top1`` where both domains have
        images, and ``published_train``, ``published_validation`` and ``published_test``. NaN where there is none.

    Raises:
        ValueError: a published row names no model or holds a key that we do not know.
    """
    columns = ["trial", "status", "best_epoch", "epochs", "parameters", "seconds"]
    table = trials.merge(outcomes[columns], on="trial", how="left", validate="one_to_one")
    table["train_top1"] = _at_best_epoch(history[history["split"] == "train"], table)
    tested = _measured(metrics, "best_validation", "test")
    table["validation_top1"] = table["trial"].map(_measured(metrics, "best_validation", "validation")["top1"])
    table["test_top1"] = table["trial"].map(tested["top1"])
    for end in ("low", "high"):
        table[f"test_{end}"] = table["trial"].map(intervals.set_index("trial")[end])
    for split in ("validation", "test"):
        table[f"last_{split}_top1"] = table["trial"].map(_measured(metrics, "last", split)["top1"])
    for domain in ("nice", "real"):
        if f"{domain}_top1" in tested:
            table[f"{domain}_test_top1"] = table["trial"].map(tested[f"{domain}_top1"])
    return table.join(_published_numbers(table, published, base))


def comparison_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every model with the study's own settings, as text; a failed one stays in and says so.

    Args:
        table: what :func:`trial_table` returns.
    """
    rows = table[table["trial"] == table["model"]]
    domains = [domain for domain in ("nice", "real") if f"{domain}_test_top1" in rows]
    shown = {
        "model": rows["model"],
        **_accuracies(rows),
        "last epoch (test)": rows["last_test_top1"].map(number),
        **{domain: rows[f"{domain}_test_top1"].map(number) for domain in domains},
        "parameters": [DASH if pd.isna(count) else f"{count:,.0f}" for count in rows["parameters"]],
        **_training(rows),
        **_published(rows),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def ablation_table(table: pd.DataFrame, base: Mapping[str, Any], ablated: str, setting: str) -> pd.DataFrame:
    """The ablated model by the values of one setting, above the floors, as text; arguments as :func:`ablation_rows`."""
    rows = ablation_rows(table, base, ablated, setting)
    floors = table[table["trial"].isin(FLOORS)].sort_values("trial")
    names = [*(setting_text(setting, value) for value in rows[setting]), *floors["trial"].map(FLOORS)]
    rows = pd.concat([rows, floors], ignore_index=True)
    values = {setting.replace("_", " "): names}
    return pd.DataFrame({**values, **_accuracies(rows), **_training(rows), **_published(rows)})


def ablation_rows(table: pd.DataFrame, base: Mapping[str, Any], ablated: str, setting: str) -> pd.DataFrame:
    """The trials of the ablated model that differ in one setting alone, ordered by it.

    Args:
        table: what :func:`trial_table` returns.
        base: the study's settings by name.
        ablated: the model whose settings are varied.
        setting: one of :data:`SETTINGS`.

    Raises:
        ValueError: there is no such setting.
    """
    if setting not in SETTINGS:
        raise ValueError(f"setting is {setting!r}; settings that can be ablated are {', '.join(SETTINGS)}.")
    others = {name: base[name] for name in SETTINGS if name != setting}
    rows = table[(table["model"] == ablated) & table["split_first"] & _have(table, others)]
    return rows.sort_values(setting, key=_places if setting == "augmentation" else None, ignore_index=True)


def ablated_settings(table: pd.DataFrame, base: Mapping[str, Any], ablated: str) -> list[str]:
    """The settings of which two or more values were tried; arguments as for :func:`ablation_rows`."""
    return [setting for setting in SETTINGS if len(ablation_rows(table, base, ablated, setting)) > 1]


def leak_table(table: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame | None:
    """What the leaky trial and its honest counterpart promised and what they kept, as text; None without a leaky one.

    Args:
        table: what :func:`trial_table` returns.
        history: one row per trial, epoch and split, with ``top1``; the leaky trial's validation images are leaky ones.
    """
    pair = _leak_pair(table, history)
    if pair is None:
        return None
    shown = {
        "validation, as reported": pair["reported"].map(number),
        "test": pair["test_top1"].map(number),
        "95% interval": _intervals(pair),
        "promised too much": (pair["reported"] - pair["test_top1"]).map(number),
    }
    return pd.DataFrame(shown).rename_axis("order").reset_index()


def leak_sentence(table: pd.DataFrame, history: pd.DataFrame) -> str | None:
    """What the mistake would have gained, in a sentence; arguments and None as for :func:`leak_table`."""
    pair = _leak_pair(table, history)
    if pair is None:
        return None
    if pair[["reported", "test_top1"]].isna().any(axis=None):
        return "What augmenting before splitting would have gained is unknown: one of the two models has no result."
    honest, leaky = pair.loc[_HONEST], pair.loc[_LEAKY]
    return (
        "Augmenting before splitting would have reported a validation accuracy of "
        f"{_beside(leaky['reported'], honest['reported'])} splitting first ({number(honest['reported'])}); on the same "
        f"test images that model reaches {_beside(leaky['test_top1'], honest['test_top1'])} the honest one "
        f"({number(honest['test_top1'])})."
    )


def summary_text(title: str, table: pd.DataFrame, history: pd.DataFrame, base: Mapping[str, Any], ablated: str) -> str:
    """What came out, as Markdown for the terminal: all models, each ablation, and what the leak would have gained."""
    parts = [f"# {title}: baselines", markdown_table(comparison_table(table))]
    for setting in ablated_settings(table, base, ablated):
        heading = setting.replace("_", " ").capitalize()
        parts += [f"## {heading} ({ablated})", markdown_table(ablation_table(table, base, ablated, setting))]
    sentence = leak_sentence(table, history)
    return "\n\n".join([*parts, sentence] if sentence else parts) + "\n"


def setting_text(setting: str, value: Any) -> str:
    """The value of one of :data:`SETTINGS` for people: 1e-04, 64, with, on the fly."""
    if setting == "learning_rate":
        return np.format_float_scientific(value, trim="-", exp_digits=2)
    if setting == "dropout":
        return "with" if value else "without"
    return str(value)


def training_time(seconds: float) -> str:
    """A duration in the units that suit it, a dash where nothing was trained."""
    if not seconds > 0:  # NaN is not, either
        return DASH
    if seconds < 1:
        return "under 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _measured(metrics: pd.DataFrame, weights: str, split: str) -> pd.DataFrame:
    """The accuracies with these weights on this split, by trial."""
    return metrics[(metrics["weights"] == weights) & (metrics["split"] == split)].set_index("trial")


def _at_best_epoch(history: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """The accuracy of every trial of the table in its best epoch, NaN where it has none."""
    by_epoch = history.set_index(["trial", "epoch"])["top1"]
    return by_epoch.reindex(pd.MultiIndex.from_frame(table[["trial", "best_epoch"]])).to_numpy("float64")


def _published_numbers(
    trials: pd.DataFrame, published: Mapping[str, Any] | None, base: Mapping[str, Any]
) -> pd.DataFrame:
    """What is published of each trial; rows that describe none of them are left out."""
    numbers = pd.DataFrame(np.nan, index=trials.index, columns=[f"published_{split}" for split in _SPLITS])
    for row in published["rows"] if published else ():
        unknown = sorted(set(row) - {"model", *SETTINGS, *_SPLITS})
        if "model" not in row or unknown:
            allowed = ", ".join([*SETTINGS, *_SPLITS])
            raise ValueError(
                f"Rows of published.yml need model and may hold {allowed}; found {unknown} in {dict(row)}."
            )
        described = (trials["model"] == row["model"]) & trials["split_first"] & _have(trials, {**base, **row})
        for split in _SPLITS:
            if split in row:
                numbers.loc[described, f"published_{split}"] = row[split]
    return numbers


def _have(trials: pd.DataFrame, settings: Mapping[str, Any]) -> pd.Series:
    """Whether each trial has these settings; keys that are no settings are left out of account."""
    same = pd.Series(True, index=trials.index)
    for name in (name for name in SETTINGS if name in settings):
        if name == "augmentation":
            same &= trials[name] == settings[name]
        else:  # as numbers: YAML takes 1e-4 for a text
            same &= np.isclose(trials[name].astype("float64"), float(settings[name]), rtol=1e-6, atol=0)
    return same


def _leak_pair(table: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame | None:
    """The honest and the leaky trial of equal model and settings, with the accuracy ``reported`` on validation."""
    leaky = table[~table["split_first"]]
    if leaky.empty:
        return None
    alike = table[(table["model"] == leaky["model"].iloc[0]) & _have(table, leaky.iloc[0])]
    validated = history[history["split"] == "validation"].groupby("trial")["top1"].max()
    order = alike["split_first"].map({True: _HONEST, False: _LEAKY})
    pair = alike.assign(order=order, reported=alike["trial"].map(validated)).set_index("order")
    return pair.reindex([_HONEST, _LEAKY])


def _accuracies(rows: pd.DataFrame) -> dict[str, Any]:
    shown = {split: rows[f"{split}_top1"].map(number) for split in _SPLITS}
    return {**shown, "95% interval": _intervals(rows)}


def _intervals(rows: pd.DataFrame) -> list[str]:
    return [interval(*bounds) for bounds in zip(rows["test_low"], rows["test_high"], strict=True)]


def _training(rows: pd.DataFrame) -> dict[str, list[str]]:
    """How long each model trained, and which of its epochs was best."""
    epochs = rows[["status", "best_epoch", "epochs"]].itertuples(index=False)
    return {
        "epochs": [_epochs(*outcome) for outcome in epochs],
        "training time": [training_time(seconds) for seconds in rows["seconds"]],
    }


def _epochs(status: str, best_epoch: float, epochs: float) -> str:
    if status == "failed":
        return status
    return f"{best_epoch:.0f} of {epochs:.0f}" if epochs > 0 else DASH


def _published(rows: pd.DataFrame) -> dict[str, pd.Series]:
    columns = {f"published {split}": rows[f"published_{split}"] for split in _SPLITS}
    return {heading: column.map(number) for heading, column in columns.items() if column.notna().any()}


def _places(augmentations: pd.Series) -> pd.Series:
    return augmentations.map({augmentation: place for place, augmentation in enumerate(AUGMENTATIONS)})


def _beside(ours: float, theirs: float) -> str:
    """A number and by how much it differs from another, ready for the name of that one."""
    if abs(ours - theirs) < 0.0005:  # what the three decimals shown cannot tell apart
        return f"{number(ours)}, the same as"
    return f"{number(ours)}, {number(abs(ours - theirs))} {'more' if ours > theirs else 'less'} than"

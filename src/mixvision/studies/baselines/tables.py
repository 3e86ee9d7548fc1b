"""Tables of the baselines: every trial's numbers, models side by side, and ablations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixvision.evaluation.by_category import category_columns
from mixvision.evaluation.selection import best_model, not_behind
from mixvision.reporting.formatting import DASH, interval, markdown_table, number, training_time
from mixvision.reporting.published import PublishedBaselines
from mixvision.reporting.tables import distances
from mixvision.reporting.ties import with_distances
from mixvision.studies.baselines.leak import leak_sentence
from mixvision.studies.baselines.notes import QUESTION
from mixvision.studies.baselines.settings import AUGMENTATIONS, SETTINGS, have_settings, published_numbers, setting_text
from mixvision.vocabulary import DOMAINS, HELD_OUT, MISSING, SPLITS, TEST

FLOORS = {"linear": "linear layer", "random": "random guessing"}  # models that show how easy the images are


def trial_table(
    trials: pd.DataFrame,
    metrics: pd.DataFrame,
    intervals: pd.DataFrame,
    history: pd.DataFrame,
    outcomes: pd.DataFrame,
    published: PublishedBaselines | None,
) -> pd.DataFrame:
    """All numbers of the run, for a CSV file.

    Args:
        trials: one row per trial: ``trial``, ``model``, ``seed``, the four :data:`SETTINGS`, ``split_first`` and
            ``matched``.
        metrics: what :func:`mixvision.evaluation.classification.accuracies` returns.
        intervals: what :func:`mixvision.evaluation.classification.accuracy_intervals` returns, of best_validation.
        history: one row per trial, epoch and split, with ``top1``.
        outcomes: one row per trial: ``status``, ``best_epoch``, ``epochs``, ``iterations``, ``parameters``,
            ``seconds``, ``views_top1``, the accuracy on expanded views of the validation images, and
            ``train_photos`` and ``validation_photos``, how many distinct images its examples show.
        published: see :func:`mixvision.studies.baselines.settings.published_numbers`.

    Returns:
        One row per trial, in the order of ``trials``: its columns, those of ``outcomes`` named above, ``train_top1``
        (of the best epoch), ``validation_top1``, ``test_top1``, ``test_low`` and ``test_high`` (best_validation),
        ``last_validation_top1``, ``last_test_top1``, ``nice_test_top1`` and ``real_test_top1`` where both domains have
        images, what :func:`mixvision.evaluation.by_category.category_columns` returns, and ``published_train``,
        ``published_validation`` and ``published_test``. NaN where there is none.
    """
    columns = ["trial", "status", "best_epoch", "epochs", "iterations", "parameters", "seconds", "views_top1"]
    columns += ["train_photos", "validation_photos"]
    table = trials.merge(outcomes[columns], on="trial", how="left", validate="one_to_one")
    table["train_top1"] = _at_best_epoch(history[history["split"] == "train"], table)
    tested = _measured(metrics, "best_validation", "test")
    table["validation_top1"] = table["trial"].map(_measured(metrics, "best_validation", "validation")["top1"])
    table["test_top1"] = table["trial"].map(tested["top1"])
    for end in ("low", "high"):
        table[f"test_{end}"] = table["trial"].map(intervals.set_index("trial")[end])
    for split in HELD_OUT:
        table[f"last_{split}_top1"] = table["trial"].map(_measured(metrics, "last", split)["top1"])
    for domain in DOMAINS:
        if f"{domain}_top1" in tested:
            table[f"{domain}_test_top1"] = table["trial"].map(tested[f"{domain}_top1"])
    table = table.join(category_columns(metrics, TEST), on="trial")
    return table.join(published_numbers(table, published))


def best_trial(table: pd.DataFrame) -> str:
    """The best model among those that split before they augment."""
    return best_model(honest_trials(table))


def honest_trials(table: pd.DataFrame) -> pd.DataFrame:
    """The trials without the deliberate mistake of augmenting before splitting."""
    return table[table["split_first"]]


def with_honest_distances(table: pd.DataFrame, joined: pd.DataFrame) -> pd.DataFrame:
    """The table with how far each honest trial is behind the best one; those with the mistake are no rivals of it."""
    rivals = joined[joined["trial"].isin(honest_trials(table)["trial"])]
    return with_distances(table, rivals, best_trial(table))


def tied_trials(table: pd.DataFrame) -> list[str]:
    """The honest trials that the test images cannot tell from the best one, which is among them."""
    return not_behind(honest_trials(table), best_trial(table), "trial")


def compared_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The trials with the base settings, and last the best of all if its settings are others."""
    base = table["trial"] == table["model"]
    best = table["trial"] == best_trial(table)
    return pd.concat([table[base], table[best & ~base]], ignore_index=True)


def comparison_table(table: pd.DataFrame) -> pd.DataFrame:
    """The :func:`compared_rows` as text; those without a result included, marked "failed", "cancelled", ...

    Args:
        table: what :func:`trial_table` returns.
    """
    rows = compared_rows(table)
    domains = [domain for domain in DOMAINS if f"{domain}_test_top1" in rows]
    shown = {
        "model": rows["trial"],
        **_accuracies(rows),
        **_published(rows),
        "last epoch (test)": rows["last_test_top1"].map(number),
        **{f"{domain}, test": rows[f"{domain}_test_top1"].map(number) for domain in domains},
        "parameters": [DASH if pd.isna(count) else f"{count:,.0f}" for count in rows["parameters"]],
        **_training(rows),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def ablation_table(table: pd.DataFrame, base: Mapping[str, Any], ablated: str, setting: str) -> pd.DataFrame:
    """The ablated model by the values of one setting, above the floors, as text; arguments as :func:`ablation_rows`."""
    rows = ablation_rows(table, base, ablated, setting)
    floors = floor_rows(table, ablated)
    names = [*(setting_text(setting, value) for value in rows[setting]), *floors["trial"].map(FLOORS)]
    rows = pd.concat([rows, floors], ignore_index=True)
    values = {setting.replace("_", " "): names}
    return pd.DataFrame({**values, **_accuracies(rows), **_published(rows), **_training(rows)})


def ablation_rows(table: pd.DataFrame, base: Mapping[str, Any], ablated: str, setting: str) -> pd.DataFrame:
    """The trials of the ablated model that differ in one setting alone, ordered by it.

    Args:
        table: what :func:`trial_table` returns.
        base: the base settings by name.
        ablated: the model whose settings are varied.
        setting: one of :data:`SETTINGS`.

    Raises:
        ValueError: there is no such setting.
    """
    if setting not in SETTINGS:
        raise ValueError(f"setting is {setting!r}; settings that can be ablated are {', '.join(SETTINGS)}.")
    others = {name: base[name] for name in SETTINGS if name != setting}
    rows = table[(table["model"] == ablated) & table["split_first"] & have_settings(table, others)]
    return rows.sort_values(setting, key=_places if setting == "augmentation" else None, ignore_index=True)


def ablated_settings(table: pd.DataFrame, base: Mapping[str, Any], ablated: str) -> list[str]:
    """The settings for which two or more values were tried; arguments as for :func:`ablation_rows`."""
    return [setting for setting in SETTINGS if len(ablation_rows(table, base, ablated, setting)) > 1]


def floor_rows(table: pd.DataFrame, ablated: str) -> pd.DataFrame:
    """The trials of the simplest models, :data:`FLOORS`, except the ablated one, which cannot be its own floor."""
    return table[table["trial"].isin(FLOORS) & (table["trial"] != ablated)].sort_values("trial")


def summary_text(title: str, table: pd.DataFrame, leak: pd.DataFrame, base: Mapping[str, Any], ablated: str) -> str:
    """The results as Markdown for the terminal: all models, each ablation, and the effect of the leak."""
    parts = [f"# {title}: baselines", QUESTION, markdown_table(comparison_table(table))]
    for setting in ablated_settings(table, base, ablated):
        heading = setting.replace("_", " ").capitalize()
        parts += [f"## {heading} ({ablated})", markdown_table(ablation_table(table, base, ablated, setting))]
    sentence = leak_sentence(leak)
    return "\n\n".join([*parts, sentence] if sentence else parts) + "\n"


def _measured(metrics: pd.DataFrame, snapshot: str, split: str) -> pd.DataFrame:
    """The accuracies at this snapshot on this split, by trial."""
    return metrics[(metrics["snapshot"] == snapshot) & (metrics["split"] == split)].set_index("trial")


def _at_best_epoch(history: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """The accuracy of every trial of the table in its best epoch, NaN where it has none."""
    by_epoch = history.set_index(["trial", "epoch"])["top1"]
    return by_epoch.reindex(pd.MultiIndex.from_frame(table[["trial", "best_epoch"]])).to_numpy("float64")


def _accuracies(rows: pd.DataFrame) -> dict[str, Any]:
    shown = {split: rows[f"{split}_top1"].map(number) for split in SPLITS}
    behind = {"behind the best": distances(rows)} if "behind_low" in rows else {}
    return {**shown, "95% interval": _intervals(rows, "test"), **behind}


def _intervals(rows: pd.DataFrame, name: str) -> list[str]:
    return [interval(*bounds) for bounds in zip(rows[f"{name}_low"], rows[f"{name}_high"], strict=True)]


def _training(rows: pd.DataFrame) -> dict[str, list[str]]:
    """How long each model trained, and which of its epochs was best."""
    epochs = rows[["status", "best_epoch", "epochs"]].itertuples(index=False)
    return {
        "best epoch": [_best_epoch(*outcome) for outcome in epochs],
        "steps": [f"{steps:,.0f}" if steps > 0 else DASH for steps in rows["iterations"]],
        "training time": [training_time(seconds) for seconds in rows["seconds"]],
    }


def _best_epoch(status: str, best_epoch: float, epochs: float) -> str:
    if status in MISSING:
        return status
    return f"{best_epoch:.0f} of {epochs:.0f}" if epochs > 0 else DASH


def _published(rows: pd.DataFrame) -> dict[str, pd.Series]:
    columns = {f"published {split}": rows[f"published_{split}"] for split in SPLITS}
    return {heading: column.map(number) for heading, column in columns.items() if column.notna().any()}


def _places(augmentations: pd.Series) -> pd.Series:
    return augmentations.map({augmentation: place for place, augmentation in enumerate(AUGMENTATIONS)})

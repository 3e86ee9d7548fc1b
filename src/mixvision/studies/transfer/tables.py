"""Tables of transfer learning: every model's numbers, models side by side, and the results in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mixvision.evaluation.by_category import category_columns
from mixvision.evaluation.calibration import expected_calibration_error
from mixvision.evaluation.selection import best_model
from mixvision.reporting.formatting import DASH, interval, markdown_table, number, training_time
from mixvision.reporting.tables import distances
from mixvision.reporting.ties import tied_sentence
from mixvision.studies.transfer.notes import QUESTION
from mixvision.vocabulary import (
    AS_IS,
    DOMAINS,
    MISSING,
    RESTRICTED,
    TEST_SPLITS,
)

PRETRAINED_ON = (
    "The networks were pretrained on ImageNet, which has these categories. Images that come from ImageNet, such as "
    "those of Tiny-ImageNet and Stanford Dogs, may be among those that they have seen: accuracies on them, even on an "
    "independent test set, do not carry over to new photos."
)
MEMBERS = " + "  # between the names of an ensemble's members

_SETTINGS = ["backbone", "input_size", "head", "fine_tuning"]
_OUTCOMES = ["status", "reason", "epochs", "best_epoch"]
_SUMS = ["parameters", "trained_parameters", "seconds"]
_BEST = "best_validation"


def transfer_table(
    trials: pd.DataFrame,
    members: pd.DataFrame,
    metrics: pd.DataFrame,
    intervals: Mapping[str, pd.DataFrame],
    history: pd.DataFrame,
    outcomes: pd.DataFrame,
    backbones: pd.DataFrame,
    joined: pd.DataFrame,
) -> pd.DataFrame:
    """All numbers of the run, for a CSV file.

    Args:
        trials: one row per trial: ``trial``, ``method``, ``backbone``, ``weights``, ``input_size``, ``head`` and
            ``fine_tuning``.
        members: of the derived models, see :func:`mixvision.evaluation.ensembles.combine`.
        metrics: what :func:`mixvision.evaluation.classification.accuracies` returns, of trials and derived models.
        intervals: by split ("test", "independent") what
            :func:`mixvision.evaluation.classification.accuracy_intervals` returns, of best_validation.
        history: one row per trial, epoch and split, with ``top1``.
        outcomes: one row per trial: ``status``, ``reason``, ``epochs``, ``best_epoch``, ``seconds``, ``parameters``
            and ``trained_parameters``.
        backbones: one row per backbone, weights and input size: ``images_per_second``.
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns; test images of the split
            "independent" (:func:`mixvision.evaluation.metrics.mark_independent`) have columns of their own.

    Returns:
        One row per trial, then per derived model: what is named above (of an ensemble the sums over its members, and
        the pace of running one after the other), ``members``, ``megabytes`` (of float32 weights), ``train_top1``
        (running mean over the best epoch's batches), ``validation_top1``, ``test_top1``, ``test_low``, ``test_high``,
        ``test_top<k>``, all best_validation, ``last_validation_top1``, ``last_test_top1``, ``nice_test_top1`` and
        ``real_test_top1`` where the split has test images of both domains, ``ece`` (test images) and ``outside``
        (share of test images that "as is" assigns to none of the study's categories), and what
        :func:`mixvision.evaluation.by_category.category_columns` returns. With an independent test set
        ``independent_top1``, ``independent_low``, ``independent_high``, ``independent_top<k>``,
        ``last_independent_top1``, ``ece_independent`` and ``outside_independent`` refer to it, and all others to
        the split's own test images. NaN, or "" for text, where there is none.
    """
    table = _rows(trials, members, outcomes, backbones)
    table["megabytes"] = table["parameters"] * 4 / 1e6
    by_epoch = history[history["split"] == "train"].set_index(["trial", "epoch"])["top1"]
    places = pd.MultiIndex.from_frame(table[["trial", "best_epoch"]])
    table["train_top1"] = by_epoch.reindex(places).to_numpy("float64")
    splits = [split for split in TEST_SPLITS if split == "test" or (metrics["split"] == split).any()]
    table["validation_top1"] = table["trial"].map(_measured(metrics, _BEST, "validation")["top1"])
    for split in splits:
        tested = _measured(metrics, _BEST, split)
        table[f"{split}_top1"] = table["trial"].map(tested["top1"])
        for end in ("low", "high"):
            table[f"{split}_{end}"] = table["trial"].map(intervals[split].set_index("trial")[end])
        for top in (column for column in tested if column.startswith("top") and column != "top1"):
            table[f"{split}_{top}"] = table["trial"].map(tested[top])
        table = table.join(category_columns(metrics, split), on="trial")
    for split in ("validation", *splits):
        table[f"last_{split}_top1"] = table["trial"].map(_measured(metrics, "last", split)["top1"])
    tested = _measured(metrics, _BEST, "test")
    domains = [f"{domain}_top1" for domain in DOMAINS]
    if all(name in tested and tested[name].notna().any() for name in domains):
        for domain in DOMAINS:
            table[f"{domain}_test_top1"] = table["trial"].map(tested[f"{domain}_top1"])
    categories = set(joined["category"].astype("str"))
    for split, suffix in zip(splits, ("", "_independent"), strict=False):
        answers = dict(iter(joined[(joined["snapshot"] == _BEST) & (joined["split"] == split)].groupby("trial")))
        errors = {trial: expected_calibration_error(rows) for trial, rows in answers.items()}
        outside = {trial: 1 - rows["prediction_1"].isin(categories).mean() for trial, rows in answers.items()}
        table[f"ece{suffix}"] = table["trial"].map(errors)
        table[f"outside{suffix}"] = table["trial"].map(outside).where(table["method"] == AS_IS)
    return table


def comparison_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every model, as text; those without a result included, marked "failed", "cancelled", ...

    Args:
        table: what :func:`transfer_table` returns.
    """
    several = [name for name in ("backbone", "input_size") if table[name].replace("", np.nan).nunique() > 1]
    domains = [domain for domain in DOMAINS if f"{domain}_test_top1" in table]
    shown = {
        "model": table["trial"],
        "method": table["method"],
        **{name.replace("_", " "): [_whole(value) for value in table[name]] for name in several},
        **{split: table[f"{split}_top1"].map(number) for split in ("train", "validation")},
        **_tested(table),
        **{f"{domain}, test": table[f"{domain}_test_top1"].map(number) for domain in domains},
        **{f"last epoch ({split})": table[f"last_{split}_top1"].map(number) for split in splits_tested(table)},
        "ECE": table["ece"].map(number),
        "parameters": table["parameters"].map(_whole),
        "trained": table["trained_parameters"].map(_whole),
        "training time": table["seconds"].map(training_time),
        "images/s": table["images_per_second"].map(_amount),
        "MB": table["megabytes"].map(_amount),
        "best epoch": [_best_epoch(*outcome) for outcome in zip(table["status"], table["best_epoch"], strict=True)],
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def best_of_methods(table: pd.DataFrame, without: Sequence[str] = ()) -> list[str]:
    """The best model of each method on the validation images, in the order of the methods in the table."""
    rows = table[~table["method"].isin(list(without))].dropna(subset="validation_top1")
    return [best_model(group) for _, group in rows.groupby("method", sort=False)]


def answer(table: pd.DataFrame) -> str:
    """The outcome: the test accuracy of the best model, which others are tied, and the best of the other methods."""
    best, rows = best_model(table), table.set_index("trial")
    row = rows.loc[best]
    others = [name for name in best_of_methods(table) if rows.loc[name, "method"] != row["method"]]
    compared = "; ".join(f"{name} {_all_tests(rows.loc[name])}" for name in others)
    sentence = (
        f"Best on the validation images: {best}, with a test accuracy of {number(row['test_top1'])} "
        f"(95% interval {interval(row['test_low'], row['test_high'])})"
    )
    if "independent" in splits_tested(table):
        bounds = interval(row["independent_low"], row["independent_high"])
        sentence += f", and of {number(row['independent_top1'])} ({bounds}) on the independent test images"
    sentences = [f"{sentence}.", tied_sentence(table, best)]
    sentences += [f"For comparison, the best of the other methods: {compared}."] if others else []
    return " ".join(filter(None, sentences))


def summary_text(title: str, table: pd.DataFrame, sentences: Sequence[str] = ()) -> str:
    """The results as Markdown for the terminal: all models, the best of them, and any further sentences."""
    caution = [PRETRAINED_ON] if table["method"].isin([AS_IS]).any() else []
    table_text = markdown_table(comparison_table(table))
    parts = [f"# {title}: transfer learning", QUESTION, table_text, answer(table), *caution, *sentences]
    return "\n\n".join(parts) + "\n"


def calibration_table(table: pd.DataFrame) -> pd.DataFrame:
    """The best model of every method, with its accuracy and expected calibration error."""
    rows = table.set_index("trial", drop=False).loc[best_of_methods(table)]
    columns = {"trial": "model", "method": "method", "test_top1": "test", "ece": "ECE"}
    if "independent" in splits_tested(table):
        columns |= {"independent_top1": "independent", "ece_independent": "ECE, independent"}
    return rows[list(columns)].rename(columns=columns).reset_index(drop=True)


def ensemble_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every derived model, as text, with the best of its members on the validation images."""
    rows, scores = table[table["members"] != ""], table.set_index("trial")
    best = [best_model(table[table["trial"].isin(text.split(MEMBERS))]) for text in rows["members"]]
    shown = {
        "model": rows["trial"],
        "members": rows["members"],
        "validation": rows["validation_top1"].map(number),
        **_tested(rows, tops=False),
        "best member": [number(scores.loc[name, "validation_top1"]) for name in best],
        **{
            f"its {split}": [number(scores.loc[name, f"{split}_top1"]) for name in best]
            for split in splits_tested(rows)
        },
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def as_is_table(table: pd.DataFrame) -> pd.DataFrame:
    """The networks as they are, as text: accuracies on test images and the share of predictions outside the study."""
    rows = table[table["method"].isin([AS_IS, RESTRICTED])]
    shown = {
        "model": rows["trial"],
        "backbone": rows["backbone"],
        "input size": rows["input_size"].map(_whole),
        "validation": rows["validation_top1"].map(number),
        **_tested(rows),
        "none of the categories": rows["outside"].map(per_cent),
    }
    if "independent" in splits_tested(table):
        shown["none of the categories, independent"] = rows["outside_independent"].map(per_cent)
    return pd.DataFrame(shown).reset_index(drop=True)


def splits_tested(table: pd.DataFrame) -> list[str]:
    """The splits for which the table has test accuracies: "test", and "independent" if there is such a set."""
    return [split for split in TEST_SPLITS if f"{split}_top1" in table]


def top_columns(table: pd.DataFrame, split: str = "test") -> dict[str, str]:
    """The columns <split>_top<k> for k above 1, and what they are called."""
    start = f"{split}_top"
    tops = [column.removeprefix(start) for column in table if column.startswith(start)]
    return {f"{start}{top}": f"{split}, top {top}" for top in tops if top != "1"}


def per_cent(value: float) -> str:
    """A fraction in per cent, a dash where there is none."""
    return DASH if pd.isna(value) else f"{value:.1%}"


def _tested(rows: pd.DataFrame, tops: bool = True) -> dict[str, pd.Series | list[str]]:
    """The columns of test accuracies as text: for each split top-1, its interval, and further tops if wanted."""
    shown = {}
    for split in splits_tested(rows):
        bounds = zip(rows[f"{split}_low"], rows[f"{split}_high"], strict=True)
        shown[split] = rows[f"{split}_top1"].map(number)
        shown["95% interval" if split == "test" else f"{split}, 95% interval"] = [interval(*pair) for pair in bounds]
        if split == "test" and "behind_low" in rows:
            shown["behind the best"] = distances(rows)
        if tops:
            shown |= {name: rows[column].map(number) for column, name in top_columns(rows, split).items()}
    return shown


def _all_tests(row: pd.Series) -> str:
    """A model's test accuracy, and in brackets the independent one."""
    text = number(row["test_top1"])
    return f"{text} (independent {number(row['independent_top1'])})" if "independent_top1" in row else text


def _rows(trials: pd.DataFrame, members: pd.DataFrame, outcomes: pd.DataFrame, backbones: pd.DataFrame) -> pd.DataFrame:
    """Trials and derived models, with everything that is known before measuring."""
    paces = backbones[["backbone", "weights", "input_size", "images_per_second"]]
    own = trials[["trial", "method", "weights", *_SETTINGS]]
    own = own.merge(paces, on=["backbone", "weights", "input_size"], how="left", validate="many_to_one")
    own = own.drop(columns="weights").assign(members="")
    own = own.merge(outcomes[["trial", *_OUTCOMES, *_SUMS]], on="trial", how="left", validate="one_to_one")
    rows = {row["trial"]: row for row in own.to_dict("records")}
    for derived in members.itertuples():  # views come first, so an ensemble finds them among the rows
        made_of = [rows[name] for name in derived.members.split(MEMBERS)]
        row = {"trial": derived.trial, "method": derived.method, "members": derived.members}
        row |= {"status": "finished", "reason": ""} | {name: sum(member[name] for member in made_of) for name in _SUMS}
        row["images_per_second"] = 1 / (derived.views * sum(1 / member["images_per_second"] for member in made_of))
        if derived.method == "views":
            row |= {name: made_of[0][name] for name in _SETTINGS}
        rows[derived.trial] = row
    table = pd.DataFrame(rows.values(), columns=own.columns)
    texts = ["backbone", "head", "fine_tuning", "status", "reason"]
    return table.assign(**table[texts].fillna(""))


def _measured(metrics: pd.DataFrame, snapshot: str, split: str) -> pd.DataFrame:
    """The accuracies at this snapshot on this split, by trial."""
    return metrics[(metrics["snapshot"] == snapshot) & (metrics["split"] == split)].set_index("trial")


def _best_epoch(status: str, best_epoch: float) -> str:
    return status if status in MISSING else _whole(best_epoch if best_epoch > 0 else np.nan)


def _whole(value: str | float) -> str:
    """A whole number, or a text as it is, a dash where there is none."""
    if isinstance(value, str):
        return value or DASH
    return DASH if pd.isna(value) else f"{value:,.0f}"


def _amount(value: float) -> str:
    """A number with its leading digits, a dash where there is none."""
    return DASH if pd.isna(value) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"

"""From the predictions of all arms to the tables of their comparison."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from mixvision.evaluation.comparisons import (
    Comparisons,
    Verdict,
    compare,
    judge,
)
from mixvision.evaluation.intervals import behind_best, performance_intervals
from mixvision.evaluation.metrics import summarise, trial_metrics
from mixvision.evaluation.selection import best_first, best_label, not_behind
from mixvision.evaluation.tested import common_seeds, measured_models
from mixvision.studies.alternatives.arms import IN_TURN, MIX
from mixvision.vocabulary import (
    AFTER_INITIAL,
    BEST_VALIDATION,
    CATEGORY_METRICS,
    DOMAINS,
    LAST,
    MEASURES,
    TEST,
    VALIDATION,
)


@dataclass(frozen=True)
class Claim:
    """What the study says to "an alternative is better than every fixed-size mix".

    Attributes:
        verdict: by the rule of :mod:`mixvision.evaluation.comparisons`.
        estimate: the best alternative minus the best mix, in test performance.
        alternative, mix: which these are on the test images.
        seeds: how many each model was trained with.
    """

    verdict: Verdict
    estimate: float
    alternative: str
    mix: str
    seeds: int


def arms_table(joined: pd.DataFrame, trials: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """All arms on the test images, at the snapshot chosen on validation.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
        trials: what :func:`mixvision.studies.alternatives.arms.list_arms` returns.
        counts: what :func:`mixvision.studies.alternatives.arms.count_images` returns.

    Returns:
        One row per arm with a result, in the order of the trials: ``arm``, ``approach``, ``nice_images``,
        ``real_images``, ``trials`` (seeds), ``nice_top1``, ``real_top1``, ``performance_top1`` and
        :data:`mixvision.vocabulary.CATEGORY_METRICS` with their ``_std`` over seeds, ``performance_top1_low`` and
        ``_high`` of the 95% interval, ``validation_performance_top1``, and what
        :func:`mixvision.evaluation.intervals.distances_to_best` returns.
    """
    summary = summarise(trial_metrics(joined[joined["snapshot"] == BEST_VALIDATION]), trials, by="arm")
    tested, validated = (summary[summary["split"] == split].set_index("arm") for split in (TEST, VALIDATION))
    measures = [*(f"{measure}_top1" for measure in MEASURES), *CATEGORY_METRICS]
    columns = [f"{measure}{end}" for measure in measures for end in ("", "_std")]
    table = tested[["trials", *columns]].join(validated["performance_top1"].rename("validation_performance_top1"))
    intervals = performance_intervals(joined, trials, by="arm").set_index("arm")
    table = table.join(intervals[["performance_top1_low", "performance_top1_high"]])
    best = best_label(table["validation_performance_top1"])
    table = table.join(behind_best(joined, trials, best, by="arm").set_index("arm"))
    arms = trials.drop_duplicates("arm")[["arm", "approach"]].merge(counts, on="arm")
    return arms.merge(table.reset_index(), on="arm")


def best_arm(table: pd.DataFrame, approach: str | None = None) -> pd.Series:
    """The row of the arm with the highest performance on the validation images, of all or of one approach."""
    rows = table if approach is None else table[table["approach"] == approach]
    return best_first(rows, "validation_performance_top1").iloc[0]


def tied_arms(table: pd.DataFrame) -> list[str]:
    """The arms that the test images and seeds cannot tell from the best one, which is among them."""
    return not_behind(table, best_arm(table)["arm"], "arm")


def judge_claim(joined: pd.DataFrame, trials: pd.DataFrame, margin: float) -> Claim | None:
    """Judge whether an alternative is better than every fixed-size mix.

    None where one side has no result, or no seed has all arms.
    """
    tested = joined[(joined["snapshot"] == BEST_VALIDATION) & (joined["split"] == TEST)]
    known = trials[trials["trial"].isin(tested["trial"])]
    mixes = set(known.loc[known["approach"] == MIX, "arm"])
    others = [arm for arm in known["arm"].unique() if arm not in mixes]
    if not mixes or not others or common_seeds(known, "arm").empty:
        return None
    compared = compare(measured_models(tested, known, "arm")["performance"])
    alternative, mix = _highest(compared, others), _highest(compared, sorted(mixes))
    places = [compared.models.index(arm) for arm in (alternative, mix)]
    return Claim(
        judge(compared, others, margin), float(compared.differences[*places]), alternative, mix, compared.seeds
    )


def forgetting_table(joined: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """What the arms that train on nice images first keep of them, and what they bring to the real ones.

    Returns:
        One row per arm, means over the seeds of top-1 test accuracies: ``arm``, ``replay`` (per cent),
        ``nice_before`` (after the training on nice images), ``nice_after`` (at the end), ``forgetting`` (the
        difference; Chaudhry et al., 2018), ``real_before``, ``real_after``, and ``forward_transfer``: real accuracy
        before any real image was seen, minus that of guessing (Lopez-Paz and Ranzato, 2017, section 2, where the
        second is that of random first weights).
    """
    turns = trials[trials["approach"] == IN_TURN]
    metrics = trial_metrics(joined[joined["trial"].isin(turns["trial"])])
    tested = metrics[metrics["split"] == TEST].set_index("trial")
    columns = [f"{domain}_top1" for domain in DOMAINS]
    before, after = (tested.loc[tested["snapshot"] == snapshot, columns] for snapshot in (AFTER_INITIAL, LAST))
    frame = before.add_suffix("_before").join(after.add_suffix("_after"))
    frame.columns = frame.columns.str.replace("_top1", "")
    means = frame.join(turns.set_index("trial")[["arm", "replay"]]).groupby(["arm", "replay"], sort=False).mean()
    guessing = 1 / joined["category"].nunique()
    means["forgetting"] = means["nice_before"] - means["nice_after"]
    means["forward_transfer"] = means["real_before"] - guessing
    known = [arm for arm in turns["arm"].unique() if arm in means.index.get_level_values("arm")]
    return means.reset_index().set_index("arm").loc[known].reset_index()


def _highest(compared: Comparisons, arms: list[str]) -> str:
    """The arm with the highest test performance of these."""
    lead = pd.Series(compared.differences[:, 0], index=list(compared.models))
    return str(lead[arms].idxmax())

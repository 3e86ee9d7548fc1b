"""The study's hypotheses, judged from the predictions of several seeds; `evaluation.comparisons` has the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixvision.evaluation.comparisons import (
    Comparisons,
    compare,
    judge,
)
from mixvision.evaluation.intervals import distances_to_best, performance_intervals
from mixvision.evaluation.metrics import trial_metrics
from mixvision.evaluation.selection import best_of_each
from mixvision.evaluation.tested import measured_models
from mixvision.reporting.verdicts import in_words
from mixvision.studies.conclusions.paper import best_in_paper, iterative_in_paper, pure_in_paper
from mixvision.studies.conclusions.statements import CENTRE, NEAR, NOT_JUDGED, PURE, STATEMENTS, is_near
from mixvision.vocabulary import BEST_IN, BEST_VALIDATION, CATEGORY_METRICS, DOMAINS

JUDGED_AT = BEST_IN | {"performance": BEST_VALIDATION}  # each measure at the snapshot that was chosen for it
_SETTING = ["approach", "value"]


@dataclass(frozen=True)
class Evidence:
    """What the models of both approaches achieve.

    Attributes:
        settings: one row per ``approach`` (mixed, iterative) and ``value`` (the index; per cent real, or per cent of
            the iterations spent on the initial training): ``trials``, top-1 ``nice``, ``real`` and ``performance`` on
            the test images and ``validation_nice``... on the validation images (means over the seeds, each measure at
            the snapshot of :data:`JUDGED_AT`),
            ``performance_std`` over the seeds, ``performance_low`` and ``performance_high`` of its 95% interval.
        ratios: comparisons of all ratios of mixed training by "nice", "real" and "performance".
        procedures: of each seed's best "iterative" and "mixed" model by performance; None without both.
        picked: what those are, one row per approach and seed: ``approach``, ``seed``, ``value``.
    """

    settings: pd.DataFrame
    ratios: Mapping[str, Comparisons]
    procedures: Comparisons | None
    picked: pd.DataFrame


def list_models(mixing_trials: pd.DataFrame, iterative_trials: pd.DataFrame) -> pd.DataFrame:
    """Both approaches' trials in one frame: ``trial``, ``approach``, ``value``, ``seed``."""
    columns = ["trial", "value", "seed"]
    mixed = mixing_trials.rename(columns={"ratio": "value"}).reindex(columns=columns).assign(approach="mixed")
    iterative = iterative_trials.rename(columns={"share": "value"}).reindex(columns=columns)
    parts = [part for part in (mixed, iterative.assign(approach="iterative")) if len(part)]
    return pd.concat(parts, ignore_index=True)


def gather_evidence(joined: pd.DataFrame, models: pd.DataFrame) -> Evidence:
    """Measure every setting at the snapshots chosen on validation, and compare all of them seed by seed.

    Each measure is taken at the snapshot that was chosen for it (:data:`JUDGED_AT`): at the one with the highest
    performance, the accuracy in a model's own domain depends on luck in the other. Held-out images that leak are left
    out.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns, of both approaches.
        models: what :func:`list_models` returns; trials without predictions (failed ones) do not count.

    Raises:
        ValueError: there are no mixed models, a domain has no validation or no test image, or the predictions are of a
            version that kept fewer snapshots.
    """
    honest = joined[joined["snapshot"].isin(JUDGED_AT.values()) & ~joined["leaks"].astype(bool)]
    lacking = sorted(set(JUDGED_AT.values()) - set(honest["snapshot"]))
    if len(honest) and lacking:
        raise ValueError(
            f"The predictions lack the snapshot {lacking[0]}, which earlier versions did not keep: train again with "
            "kedro run --pipelines=conclusions."
        )
    models = models[models["trial"].isin(honest["trial"])]
    if not (models["approach"] == "mixed").any():
        raise ValueError(
            "The hypotheses are about mixed training, but no mixed model has predictions: all trainings failed."
        )
    metrics = _at_own_snapshots(trial_metrics(honest)).merge(models, on="trial")
    test, validation = (metrics[metrics["split"] == split].groupby(_SETTING) for split in ("test", "validation"))
    measures = list(JUDGED_AT)
    settings = pd.concat([test.size().rename("trials"), test[[*measures, *CATEGORY_METRICS]].mean()], axis=1)
    settings = settings.join(validation[measures].mean().add_prefix("validation_"))
    if settings.isna().any(axis=None):
        raise ValueError("The hypotheses need validation and test images of both domains; hold out some of each.")
    tested = honest[honest["split"] == "test"]
    ends = {"performance_top1_low": "performance_low", "performance_top1_high": "performance_high"}
    intervals = [
        performance_intervals(honest, rows, "value").assign(approach=approach)
        for approach, rows in models.groupby("approach")
    ]
    known = pd.concat(intervals).set_index(_SETTING).rename(columns=ends)[list(ends.values())]
    settings = settings.assign(performance_std=test["performance"].std(ddof=1)).join(known)
    by_measure = {measure: tested[tested["snapshot"] == snapshot] for measure, snapshot in JUDGED_AT.items()}
    mixed = models[models["approach"] == "mixed"]
    ratios = {
        measure: compare(measured_models(images, mixed, "value")[measure]) for measure, images in by_measure.items()
    }
    picked = _picked(metrics[metrics["split"] == "validation"])
    procedures = None
    if set(picked["approach"]) == {"mixed", "iterative"}:
        procedures = compare(measured_models(by_measure["performance"], picked, "approach")["performance"])
    return Evidence(settings, ratios, procedures, picked)


def _at_own_snapshots(metrics: pd.DataFrame) -> pd.DataFrame:
    """Each measure at its own snapshot: ``trial``, ``split``, ``nice``, ``real``, ``performance`` (top-1).

    The measures by category of a domain are taken where its accuracy is.
    """
    by_snapshot = metrics.set_index(["trial", "split"])
    own = []
    for measure, snapshot in JUDGED_AT.items():
        by_category = [name for name in CATEGORY_METRICS if name.startswith(f"{measure}_")]
        rows = by_snapshot.loc[by_snapshot["snapshot"] == snapshot, [f"{measure}_top1", *by_category]]
        own.append(rows.rename(columns={f"{measure}_top1": measure}))
    return pd.concat(own, axis=1).reset_index()


def _picked(validated: pd.DataFrame) -> pd.DataFrame:
    """Each seed's best model of each approach by its performance on the validation images."""
    best = best_of_each(validated, ["approach", "seed"], "performance")
    return best[["trial", "approach", "seed", "value"]]


def judge_hypotheses(
    evidence: Evidence,
    published: pd.DataFrame | None = None,
    published_iterative: float | None = None,
    margin: float = 0.02,
) -> pd.DataFrame:
    """The verdict on each hypothesis by :data:`RULES`, in a table of sentences.

    Args:
        evidence: what :func:`gather_evidence` returns.
        published: the paper's mixed models (``ratio`` and top-1 metrics as fractions), or None.
        published_iterative: the paper's highest performance of iterative training (fraction), or None.
        margin: models that are certainly less apart than this (a fraction) are tied.

    Returns:
        One row per entry of :data:`STATEMENTS`: ``hypothesis``, ``estimate`` (a difference of fractions) with bounds
        ``low`` and ``high``, each wrong in at most 5%, ``verdict`` (that of :func:`comparisons.judge`, or not judged),
        ``seeds``, ``seeds_needed`` to settle it, ``sentence``, and ``published_estimate`` and ``published_verdict`` (by
        the estimate alone, as its spread is not known).
    """
    rows = [
        {"hypothesis": STATEMENTS[domain]} | _judge_pure(evidence, domain, margin) | pure_in_paper(published, domain)
        for domain in DOMAINS
    ]
    near = {"hypothesis": STATEMENTS["best ratio"]} | _judge_best_ratio(evidence, margin)
    better = {"hypothesis": STATEMENTS["iterative"]} | _judge_iterative(evidence, margin)
    rows += [near | best_in_paper(published), better | iterative_in_paper(published, published_iterative)]
    columns = ["hypothesis", "estimate", "low", "high", "verdict", "seeds", "seeds_needed", "sentence"]
    return pd.DataFrame(rows, columns=[*columns, "published_estimate", "published_verdict"])


def distances_of_ratios(evidence: Evidence) -> pd.DataFrame:
    """How far each ratio's test performance is behind the highest, at most and at least.

    Returns:
        ``ratio``, ``behind``, ``margin`` (one-sided, for all comparisons at once) and ``is_beaten``: whether any other
        ratio is certainly better.
    """
    compared = evidence.ratios["performance"]
    models = len(compared.models)
    best = int(compared.differences.min(axis=1).argmax())
    margins = compared.margins(max(models - 1, 1))[best]
    return pd.DataFrame(
        {
            "ratio": compared.models,
            "behind": compared.differences[best],
            "margin": margins,
            "is_beaten": distances_to_best(compared, compared.models[best], "ratio")["is_beaten"],
        }
    )


def variance_table(evidence: Evidence) -> pd.DataFrame:
    """What makes the difference of two ratios uncertain: medians over all pairs, as standard deviations (fractions).

    Returns:
        One row per measure: ``measure``, ``images`` (the choice of test images), ``seed`` (of one seed), ``seeds``
        (how many) and ``all`` (of the mean difference).
    """
    rows = []
    for measure, compared in evidence.ratios.items():
        pairs = np.triu_indices(len(compared.models), 1)
        images, seed = (np.median(part[pairs]) for part in (compared.images.variances, compared.seed_variances))
        both = images + seed / compared.seeds
        parts = {"images": images**0.5, "seed": seed**0.5, "seeds": compared.seeds, "all": both**0.5}
        rows.append({"measure": measure, **parts})
    return pd.DataFrame(rows)


def _judge_pure(evidence: Evidence, domain: str, margin: float) -> dict[str, Any]:
    compared, ratio = evidence.ratios[domain], PURE[domain]
    if ratio not in compared.models or len(compared.models) < 2:
        return _not_judged(f"This needs a model trained with {ratio}% real images and one with another share.")
    reached = evidence.settings.loc["mixed", domain]
    outcome, text, _, rival = _judged(compared, [ratio], margin)
    return outcome | {
        "sentence": f"At {ratio}% real, {domain} accuracy is {reached[ratio]:.3f}. The best other ratio, {rival}%, "
        f"reaches {reached[rival]:.3f}. {text}"
    }


def _judge_best_ratio(evidence: Evidence, margin: float) -> dict[str, Any]:
    compared = evidence.ratios["performance"]
    near = [ratio for ratio in compared.models if is_near(ratio)]
    if not 0 < len(near) < len(compared.models):
        where = f"within {NEAR} points of {CENTRE}% real"
        return _not_judged(f"This needs models {where} and models farther from it.")
    reached = evidence.settings.loc["mixed", "performance"]
    outcome, text, best, rival = _judged(compared, near, margin)
    return outcome | {
        "sentence": f"Within {NEAR} points of {CENTRE}%, {best}% real has the highest test performance, "
        f"{reached[best]:.3f}; outside, {rival}% has {reached[rival]:.3f}. {text}"
    }


def _judge_iterative(evidence: Evidence, margin: float) -> dict[str, Any]:
    compared = evidence.procedures
    if compared is None:
        return _not_judged("There are no results of iterative training.")
    outcome, text, _, _ = _judged(compared, ["iterative"], margin)
    picks = evidence.picked.groupby("approach")["value"].agg(_per_cent)
    return outcome | {
        "sentence": "Each seed's best model on the validation images: of iterative training "
        f"{picks['iterative']} of the iterations for the initial training, of mixed training {picks['mixed']} real. "
        f"Their test performances are compared. {text}"
    }


def _per_cent(values: pd.Series) -> str:
    """Different percentages in order: "30, 40 or 50%"."""
    *others, last = map(str, sorted(set(values)))
    return f"{', '.join(others)} or {last}%" if others else f"{last}%"


def _judged(compared: Comparisons, claimed: list, margin: float) -> tuple[dict[str, Any], str, Any, Any]:
    """Verdict, bounds and estimate, the same in words, the best claimed and the best other model on the test images."""
    found = judge(compared, claimed, margin)
    inside = np.array([model in claimed for model in compared.models])
    lead = compared.differences[:, 0]  # before the first model, by the mean of the seeds
    best, rival = (int(np.where(part, lead, -np.inf).argmax()) for part in (inside, ~inside))
    estimate = compared.differences[best, rival]
    outcome = {
        "estimate": estimate,
        "low": found.low,
        "high": found.high,
        "verdict": found.verdict,
        "seeds": compared.seeds,
        "seeds_needed": found.seeds_needed,
    }
    text = in_words(estimate, found, compared.seeds)
    return outcome, text, compared.models[best], compared.models[rival]


def _not_judged(reason: str) -> dict[str, Any]:
    return {"verdict": NOT_JUDGED, "sentence": f"Not judged. {reason}"}

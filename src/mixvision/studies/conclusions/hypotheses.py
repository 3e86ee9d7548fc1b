"""The study's three hypotheses, judged from the predictions: paired bootstraps and a stated rule for each verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixvision.evaluation.intervals import LEVEL, resampled_settings
from mixvision.evaluation.metrics import trial_metrics
from mixvision.evaluation.selection import best_label
from mixvision.vocabulary import DOMAINS, MEASURES

CENTRE, NEAR = 50, 20  # per cent real: "near 50%" is from 30% to 70%
PURE = {"nice": 0, "real": 100}  # the ratio that holds most images of the domain
NOT_JUDGED = "not judged"
STATEMENTS = {
    "nice": "highest nice accuracy at 0% real",
    "real": "highest real accuracy at 100% real",
    "best ratio": "best performance near 50% real",
    "iterative": "iterative better than mixed training",
}
RULES = (
    "A hypothesis about a difference is supported if the whole 95% interval is above 0, refuted if it is below 0, and "
    "otherwise undecided. The models to compare are picked on the validation images and compared on the test images; "
    "the interval does not cover the picking.",
    f"The best ratio is near {CENTRE}% if it is within {NEAR} points of it. This is supported if it holds in at least "
    f"{LEVEL:.0%} of the resampled test sets, refuted if in at most {1 - LEVEL:.0%}, and otherwise undecided.",
)
_SETTING = ["approach", "value"]
_ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True)
class Evidence:
    """What the models of both approaches achieve.

    Attributes:
        settings: one row per ``approach`` (mixed, iterative) and ``value`` (the index; per cent real, or per cent of
            the iterations spent on the initial training): ``trials``, top-1 ``nice``, ``real`` and ``performance`` on
            the test images and ``validation_nice``... on the validation images (means over the seeds),
            ``performance_std`` over the seeds, ``performance_low`` and ``performance_high`` of the bootstrap.
        resampled: nice, real and performance on resampled test images, each (draws, settings).
    """

    settings: pd.DataFrame
    resampled: Mapping[str, pd.DataFrame]


def list_models(mixing_trials: pd.DataFrame, iterative_trials: pd.DataFrame) -> pd.DataFrame:
    """Both approaches' trials in one frame: ``trial``, ``approach``, ``value``, ``seed``."""
    columns = ["trial", "value", "seed"]
    mixed = mixing_trials.rename(columns={"ratio": "value"}).reindex(columns=columns).assign(approach="mixed")
    iterative = iterative_trials.rename(columns={"share": "value"}).reindex(columns=columns)
    parts = [part for part in (mixed, iterative.assign(approach="iterative")) if len(part)]
    return pd.concat(parts, ignore_index=True)


def gather_evidence(
    joined: pd.DataFrame, models: pd.DataFrame, generator: np.random.Generator, draws: int = 2000
) -> Evidence:
    """Measure every setting at the snapshot chosen on validation, and resample the test images and the seeds.

    Held-out images that leak are left out.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns, of both approaches.
        models: what :func:`list_models` returns; trials without predictions (failed ones) do not count.
        generator: source of the resampling.
        draws: number of resampled test sets.

    Raises:
        ValueError: there are no mixed models, or a domain has no validation or no test image.
    """
    honest = joined[(joined["snapshot"] == "best_validation") & ~joined["leaks"].astype(bool)]
    models = models[models["trial"].isin(honest["trial"])]
    if not (models["approach"] == "mixed").any():
        raise ValueError(
            "The hypotheses are about mixed training, but no mixed model has predictions: all trainings failed."
        )
    metrics = trial_metrics(honest).merge(models, on="trial")
    names = {f"{measure}_top1": measure for measure in MEASURES}
    metrics = metrics.rename(columns=names)
    test, validation = (metrics[metrics["split"] == split].groupby(_SETTING) for split in ("test", "validation"))
    measures = list(names.values())
    settings = pd.concat([test.size().rename("trials"), test[measures].mean()], axis=1)
    settings = settings.join(validation[measures].mean().add_prefix("validation_"))
    if settings.isna().any(axis=None):
        raise ValueError("The hypotheses need validation and test images of both domains; hold out some of each.")
    resampled = resampled_settings(honest[honest["split"] == "test"], models, _SETTING, generator, draws)
    low, high = (resampled["performance"].quantile(end) for end in _ENDS)
    spread = test["performance"].std(ddof=1)
    return Evidence(settings.assign(performance_std=spread, performance_low=low, performance_high=high), resampled)


def judge_hypotheses(
    evidence: Evidence, published: pd.DataFrame | None = None, published_iterative: float | None = None
) -> pd.DataFrame:
    """The verdict on each hypothesis by :data:`RULES`, in a table of sentences.

    Args:
        evidence: what :func:`gather_evidence` returns.
        published: the paper's mixed models (``ratio`` and top-1 metrics as fractions), or None.
        published_iterative: the paper's highest performance of iterative training (fraction), or None.

    Returns:
        One row per entry of :data:`STATEMENTS`: ``hypothesis``, ``estimate`` (a difference of fractions, or the best
        ratio in per cent) with bounds ``low`` and ``high`` of the central 95%, ``near`` (share of the draws with the
        best ratio near 50%), ``verdict`` (supported, refuted, undecided or not judged), ``sentence``, and
        ``published_estimate`` and ``published_verdict`` (by the estimate alone, as its spread is not known).
    """
    rows = [
        {"hypothesis": STATEMENTS[domain]} | _judge_pure(evidence, domain) | _published_pure(published, domain)
        for domain in DOMAINS
    ]
    rows.append({"hypothesis": STATEMENTS["best ratio"]} | _judge_best_ratio(evidence) | _published_best(published))
    better = {"hypothesis": STATEMENTS["iterative"]} | _judge_iterative(evidence)
    rows.append(better | _published_iterative(published, published_iterative))
    columns = ["hypothesis", "estimate", "low", "high", "near", "verdict", "sentence"]
    return pd.DataFrame(rows, columns=[*columns, "published_estimate", "published_verdict"])


def best_ratio_distribution(evidence: Evidence) -> pd.DataFrame:
    """How often each ratio performs best on the resampled test images: ``ratio``, ``share`` (adding up to 1)."""
    performances = evidence.resampled["performance"]["mixed"]
    best = performances.eq(performances.max(axis=1), axis=0)
    shares = best.div(best.sum(axis=1), axis=0).mean()  # ratios that tie in a draw share it
    return shares.rename("share").rename_axis("ratio").reset_index()


def _judge_pure(evidence: Evidence, domain: str) -> dict[str, Any]:
    mixed, ratio = evidence.settings.loc["mixed"], PURE[domain]
    if ratio not in mixed.index or len(mixed) < 2:
        return _not_judged(f"This needs a model trained with {ratio}% real images and one with another share.")
    rival = best_label(mixed[f"validation_{domain}"].drop(ratio))
    outcome = _difference(evidence, domain, ("mixed", ratio), ("mixed", rival))
    return outcome | {
        "sentence": f"At {ratio}% real, {domain} accuracy is {mixed.loc[ratio, domain]:.3f}. Of the other ratios, "
        f"{rival}% is best on the validation images and reaches {mixed.loc[rival, domain]:.3f}. {_in_words(outcome)}"
    }


def _judge_best_ratio(evidence: Evidence) -> dict[str, Any]:
    distribution = best_ratio_distribution(evidence).set_index("ratio")["share"]
    near = _is_near(distribution.index)
    if near.all() or not near.any():
        where = f"within {NEAR} points of {CENTRE}% real"
        return _not_judged(f"This needs models {where} and models farther from it.")
    share = float(distribution[near].sum())
    low, high = (int(distribution.index[np.searchsorted(distribution.cumsum(), end - 1e-9)]) for end in _ENDS)
    mixed = evidence.settings.loc["mixed"]
    best, picked = (best_label(mixed[column]) for column in ("performance", "validation_performance"))
    verdict = "supported" if share >= LEVEL else "refuted" if share <= 1 - LEVEL else "undecided"
    return {
        "estimate": best,
        "low": low,
        "high": high,
        "near": share,
        "verdict": verdict,
        "sentence": f"The test performance is highest at {best}% real ({mixed.loc[best, 'performance']:.3f}; the "
        f"validation images pick {picked}%). The best ratio is within {NEAR} points of {CENTRE}% in {share:.1%} of the "
        f"resampled test sets (95% interval {low}% to {high}%): {verdict}.",
    }


def _judge_iterative(evidence: Evidence) -> dict[str, Any]:
    if "iterative" not in evidence.settings.index:
        return _not_judged("There are no results of iterative training.")
    validated = evidence.settings["validation_performance"]
    best = {name: best_label(validated[name]) for name in ("mixed", "iterative")}
    outcome = _difference(evidence, "performance", ("iterative", best["iterative"]), ("mixed", best["mixed"]))
    reached = {name: evidence.settings.loc[(name, value), "performance"] for name, value in best.items()}
    return outcome | {
        "sentence": f"The best iterative model ({best['iterative']}% of its iterations spent on the initial training) "
        f"reaches a performance of {reached['iterative']:.3f}, the best mixed model ({best['mixed']}% real) "
        f"{reached['mixed']:.3f}. {_in_words(outcome)}"
    }


def _difference(evidence: Evidence, measure: str, one: tuple, other: tuple) -> dict[str, Any]:
    resampled = evidence.resampled[measure]
    low, high = np.quantile(resampled[one] - resampled[other], _ENDS)
    estimate = evidence.settings.loc[one, measure] - evidence.settings.loc[other, measure]
    verdict = "supported" if low > 0 else "refuted" if high < 0 else "undecided"
    return {"estimate": estimate, "low": low, "high": high, "verdict": verdict}


def _in_words(outcome: Mapping[str, Any]) -> str:
    bounds = f"{outcome['low']:+.3f} to {outcome['high']:+.3f}"
    return f"The difference is {outcome['estimate']:+.3f} (95% interval {bounds}): {outcome['verdict']}."


def _not_judged(reason: str) -> dict[str, Any]:
    return {"verdict": NOT_JUDGED, "sentence": f"Not judged. {reason}"}


def _published_pure(published: pd.DataFrame | None, domain: str) -> dict[str, Any]:
    accuracies = _published(published, f"{domain}_top1")
    if PURE[domain] not in accuracies or len(accuracies) < 2:
        return {}
    return _by_sign(accuracies[PURE[domain]] - accuracies.drop(PURE[domain]).max())


def _published_best(published: pd.DataFrame | None) -> dict[str, Any]:
    performances = _published(published, "performance_top1")
    near = _is_near(performances.index)
    if near.all() or not near.any():
        return {}
    best = best_label(performances)
    return {"published_estimate": best, "published_verdict": "supported" if _is_near(best) else "refuted"}


def _published_iterative(published: pd.DataFrame | None, highest: float | None) -> dict[str, Any]:
    performances = _published(published, "performance_top1")
    return {} if highest is None or performances.empty else _by_sign(highest - performances.max())


def _published(published: pd.DataFrame | None, metric: str) -> pd.Series:
    if published is None or metric not in published:
        return pd.Series(dtype="float64")
    return published.set_index("ratio")[metric].dropna()


def _by_sign(difference: float) -> dict[str, Any]:
    verdict = "supported" if difference > 0 else "refuted" if difference < 0 else "undecided"
    return {"published_estimate": difference, "published_verdict": verdict}


def _is_near(ratio: Any) -> Any:
    return abs(ratio - CENTRE) <= NEAR

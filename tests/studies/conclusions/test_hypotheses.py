"""Verdicts on constructed hits, for which the differences are known."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from mixvision.reporting.published import read_published
from mixvision.studies.conclusions.hypotheses import (
    JUDGED_AT,
    STATEMENTS,
    distances_of_ratios,
    gather_evidence,
    judge_hypotheses,
    list_models,
    variance_table,
)

IMAGES = 100
NICE, REAL, BEST, ITERATIVE = STATEMENTS.values()


def hits(correct: int, first: int = 0) -> np.ndarray:
    """So many of the domain's images right, from the first one on."""
    return np.isin(np.arange(IMAGES), np.arange(first, first + correct))


def make_joined(models: dict, validation: dict | None = None, clusters: np.ndarray | None = None) -> pd.DataFrame:
    """Joined predictions: {trial: (nice hits, real hits)} on the test images, and on validation if they differ."""
    parts = []
    for split, chosen in (("test", models), ("validation", models | (validation or {}))):
        for trial, both in chosen.items():
            for place, (domain, right) in enumerate(zip(("nice", "real"), both, strict=True)):
                right = hits(right) if isinstance(right, int) else right
                numbers = np.arange(IMAGES) if clusters is None else clusters
                part = pd.DataFrame({"top1": right, "top3": True, "component": numbers + 1000 * place})
                part["id"] = [f"{split}/{domain}/{number}" for number in range(IMAGES)]
                parts.append(part.assign(trial=trial, domain=domain, split=split))
    joined = pd.concat(parts, ignore_index=True).assign(leaks=False, category="apple")
    joined = joined.assign(prediction_1=joined["category"].where(joined["top1"], "pear"))
    return pd.concat([joined.assign(snapshot=snapshot) for snapshot in JUDGED_AT.values()], ignore_index=True)


def make_models(mixed: dict[str, tuple[int, int]], iterative: dict[str, tuple[int, int]] | None = None) -> pd.DataFrame:
    """{trial: (ratio or share, seed)}."""
    frames = [
        pd.DataFrame([(trial, *rest) for trial, rest in (part or {}).items()], columns=["trial", column, "seed"])
        for part, column in ((mixed, "ratio"), (iterative, "share"))
    ]
    return list_models(*frames)


def evidence_of(models: dict, iterative: dict | None = None, seeds: int = 3, **options):
    """Equal seeds of each setting: {ratio: (nice, real)} and {share: (nice, real)}."""
    mixed = {f"m{ratio}-{seed}": (ratio, seed) for ratio in models for seed in range(seeds)}
    turns = {f"i{share}-{seed}": (share, seed) for share in iterative or {} for seed in range(seeds)}
    both = {name: models[ratio] for name, (ratio, _) in mixed.items()}
    both |= {name: iterative[share] for name, (share, _) in turns.items()}
    joined = make_joined(both, **options)
    return gather_evidence(joined, make_models(mixed, turns))


def judged(evidence, *published, **options) -> pd.DataFrame:
    return judge_hypotheses(evidence, *published, **options).set_index("hypothesis")


def test_clear_differences_are_supported_or_refuted_and_equal_the_counts():
    table = judged(evidence_of({0: (95, 10), 50: (60, 60), 100: (20, 40)}, {30: (50, 30), 70: (40, 30)}))
    assert table.loc[NICE, ["estimate", "verdict"]].tolist() == [pytest.approx(0.35), "supported"]
    assert table.loc[REAL, ["estimate", "verdict"]].tolist() == [pytest.approx(-0.20), "refuted"]
    assert table.loc[BEST, ["estimate", "verdict"]].tolist() == [
        pytest.approx(0.6 - np.sqrt(0.95 * 0.1)),
        "supported",
    ]
    assert table.loc[ITERATIVE, "estimate"] == pytest.approx(np.sqrt(0.5 * 0.3) - 0.6)
    assert table.loc[ITERATIVE, "verdict"] == "refuted" and (table["seeds"] == 3).all()
    assert (table["low"] <= table["estimate"]).all() and (table["estimate"] <= table["high"]).all()
    given = re.findall(r"[+-]?\d\.\d{3}", table.loc[NICE, "sentence"])
    assert given == ["0.950", "0.600", "+0.350", *(f"{table.loc[NICE, end]:+.3f}" for end in ("low", "high"))]


def test_each_hypothesis_is_judged_at_the_snapshot_chosen_for_its_measure():
    """At 100% real the best performance is at an iteration with .90 real accuracy, the best real accuracy .97."""
    mixed = {f"m{ratio}-{seed}": (ratio, seed) for ratio in (50, 100) for seed in range(3)}
    by_performance = {name: (80, 92) if ratio == 50 else (40, 90) for name, (ratio, _) in mixed.items()}
    by_real = {name: (70, 93) if ratio == 50 else (10, 97) for name, (ratio, _) in mixed.items()}
    joined = make_joined(by_performance)
    own = make_joined(by_real)
    joined = pd.concat([joined[joined["snapshot"] != JUDGED_AT["real"]], own[own["snapshot"] == JUDGED_AT["real"]]])
    evidence = gather_evidence(joined, make_models(mixed))
    row = judged(evidence).loc[REAL]
    assert (row["estimate"], row["verdict"]) == (pytest.approx(0.04), "supported")
    reached = evidence.settings.loc[("mixed", 100)]
    assert reached[["nice", "real", "performance"]].tolist() == pytest.approx([0.4, 0.97, np.sqrt(0.4 * 0.9)])
    old = joined[joined["snapshot"] == "best_validation"]
    with pytest.raises(ValueError, match=r"lack the snapshot best_validation_nice.*--pipelines=conclusions"):
        gather_evidence(old, make_models(mixed))


def test_with_equal_seeds_the_bounds_are_those_of_the_images():
    one, other = hits(60), hits(60, first=30)
    row = judged(evidence_of({0: (one, 50), 50: (other, 50)})).loc[NICE]
    error = (one.astype(float) - other).std(ddof=1) / np.sqrt(IMAGES)
    quantile = student.ppf(0.95, IMAGES - 1)
    assert row[["low", "high"]].tolist() == pytest.approx([-quantile * error, quantile * error])
    assert row["verdict"] == "undecided" and np.isnan(row["seeds_needed"])
    assert "100 seeds would not settle it" in row["sentence"]


def test_equal_models_are_tied_within_the_margin():
    evidence = evidence_of({0: (50, 50), 100: (50, 50)}, {50: (50, 50)})
    table = judged(evidence)
    assert (table.loc[[NICE, REAL, ITERATIVE], ["low", "high"]] == 0).all(axis=None)
    assert (table.loc[[NICE, REAL, ITERATIVE], "verdict"] == "tied").all()
    assert (judged(evidence, margin=0).loc[[NICE, REAL, ITERATIVE], "verdict"] == "undecided").all()


def test_near_duplicates_count_once_and_so_decide_less():
    models = {0: (hits(60), 50), 50: (hits(40), 50)}
    alone = judged(evidence_of(models)).loc[NICE]
    together = judged(evidence_of(models, clusters=np.arange(IMAGES) // 20)).loc[NICE]
    assert alone["verdict"] == "supported" and together["verdict"] == "undecided"


def test_each_seed_picks_its_best_models_on_the_validation_images():
    models = {0: (50, 50), 30: (90, 90), 60: (40, 40)}
    picked = {f"{name}-{seed}": (99, 99) for name in ("m60", "i20") for seed in range(2)}
    evidence = evidence_of(models, {20: (30, 30), 80: (98, 98)}, validation=picked)
    expected = np.mean([0.3 - 0.4, 0.3 - 0.4, 0.98 - 0.9])
    row = judged(evidence).loc[ITERATIVE]
    assert row["estimate"] == pytest.approx(expected)
    assert re.findall(r"(\d+) or (\d+)%", row["sentence"]) == [("20", "80"), ("30", "60")]


def test_two_seeds_are_not_enough_and_say_so():
    table = judged(evidence_of({0: (95, 10), 50: (60, 60)}, seeds=2))
    assert table.loc[[NICE, BEST], "verdict"].tolist() == ["not enough seeds"] * 2
    assert table.loc[NICE, "sentence"].endswith("is +0.350; with 2 of at least 3 seeds: not enough seeds.")
    assert table.loc[NICE, ["low", "high"]].isna().all()


@pytest.mark.parametrize(("best", "verdict"), [(50, "supported"), (70, "supported"), (80, "refuted")])
def test_the_best_ratio_counts_as_near_within_twenty_points(best, verdict):
    models = {ratio: (90, 90) if ratio == best else (30, 30) for ratio in (0, 50, 70, 80, 100)}
    row = judged(evidence_of(models)).loc[BEST]
    assert row["verdict"] == verdict and abs(row["estimate"]) == pytest.approx(0.6)


def test_distances_name_the_ratios_that_cannot_be_told_from_the_best():
    table = distances_of_ratios(evidence_of({0: (30, 30), 50: (81, 81), 60: (80, 80), 100: (20, 20)}))
    assert table["ratio"].tolist() == [0, 50, 60, 100]
    assert table["behind"].tolist() == pytest.approx([0.51, 0, 0.01, 0.61])
    assert table["is_beaten"].tolist() == [True, False, False, True]
    assert table.loc[1, "margin"] == 0 and (table.loc[[0, 2, 3], "margin"] > 0).all()


def test_the_table_of_variances_tells_images_from_seeds():
    models = make_models({f"m{ratio}-{seed}": (ratio, seed) for ratio in (0, 50) for seed in range(3)})
    right = {f"m{ratio}-{seed}": (50 + 10 * seed * (ratio > 0), 50) for ratio in (0, 50) for seed in range(3)}
    table = variance_table(gather_evidence(make_joined(right), models))
    nice, real = (table.set_index("measure").loc[measure] for measure in ("nice", "real"))
    assert nice["seed"] == pytest.approx(0.1) and nice["seeds"] == 3
    assert nice["all"] == pytest.approx(np.sqrt(nice["images"] ** 2 + 0.1**2 / 3))
    assert real[["images", "seed", "all"]].tolist() == [0, 0, 0]


def test_seeds_that_differ_widen_the_interval_of_a_setting():
    joined = make_joined({"a": (100, 100), "b": (0, 0), "c": (50, 50), "d": (50, 50)})
    models = make_models({"a": (0, 0), "b": (0, 1), "c": (50, 0), "d": (50, 1)})
    settings = gather_evidence(joined, models).settings.loc["mixed"]
    assert settings.loc[0, ["trials", "performance"]].tolist() == [2, 0.5]
    widths = settings["performance_high"] - settings["performance_low"]
    assert widths[0] > 0.7 and widths[50] < widths[0]


def test_hypotheses_without_their_models_are_not_judged_and_say_why():
    table = judged(evidence_of({40: (50, 50), 60: (60, 60)}))
    assert (table["verdict"] == "not judged").all()
    shares = [int(re.search(r"with (\d+)% real", table.loc[name, "sentence"])[1]) for name in (NICE, REAL)]
    assert shares == [0, 100]
    near, centre = map(int, re.search(r"within (\d+) points of (\d+)% real", table.loc[BEST, "sentence"]).groups())
    assert [abs(ratio - centre) <= near for ratio in (20, 40, 60, 80)] == [False, True, True, False]
    assert table.loc[ITERATIVE, "sentence"] == "Not judged. There are no results of iterative training."
    alone = judged(evidence_of({50: (50, 50)}, {50: (20, 20)}))
    assert alone["verdict"].tolist() == ["not judged"] * 3 + ["refuted"]


def test_trials_without_predictions_and_leaking_images_do_not_count():
    joined = make_joined({"a": (50, 50), "b": (50, 50)})
    models = make_models({"a": (0, 0), "b": (50, 0), "failed": (100, 0)})
    leaking = joined["id"].str.endswith("/0")  # the only image that would be right
    joined["top1"] = leaking
    with pytest.raises(ValueError, match="both domains"):
        gather_evidence(joined.assign(leaks=joined["domain"] == "nice"), models)
    settings = gather_evidence(joined.assign(leaks=leaking), models).settings
    assert list(settings.index) == [("mixed", 0), ("mixed", 50)] and (settings["nice"] == 0).all()


def test_results_that_cannot_be_judged_are_refused():
    joined = make_joined({"a": (50, 50)})
    with pytest.raises(ValueError, match="no mixed model"):
        gather_evidence(joined, make_models({}, {"a": (50, 0)}))
    with pytest.raises(ValueError, match="validation and test"):
        gather_evidence(joined[joined["split"] == "test"], make_models({"a": (50, 0)}))


def test_the_published_fruits_are_judged_by_the_same_differences(pytestconfig):
    rows = read_published(pytestconfig.rootpath / "conf/fruits/published.yml").mixing.rows
    table = judged(evidence_of({0: (50, 50), 50: (60, 60)}), pd.DataFrame(rows), 0.45)
    assert table.loc[NICE, "published_estimate"] == pytest.approx(0.9648 - 0.9682)
    assert table.loc[REAL, "published_estimate"] == pytest.approx(0.5009 - 0.4707)
    assert table.loc[ITERATIVE, "published_estimate"] == pytest.approx(0.45 - 0.6483)
    assert table.loc[BEST, "published_estimate"] == 60
    assert table["published_verdict"].tolist() == ["refuted", "supported", "supported", "refuted"]


def test_nothing_published_leaves_its_columns_empty():
    table = judged(evidence_of({0: (50, 50), 50: (60, 60)}), pd.DataFrame({"ratio": [0], "nice_top1": [0.9]}))
    assert table[["published_estimate", "published_verdict"]].isna().all(axis=None)

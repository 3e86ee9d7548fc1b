"""Verdicts on constructed hits, for which the differences and the bootstraps are known."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from mixvision.reporting.published import read_published
from mixvision.studies.conclusions.hypotheses import (
    STATEMENTS,
    best_ratio_distribution,
    gather_evidence,
    judge_hypotheses,
    list_models,
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
    return pd.concat(parts, ignore_index=True).assign(snapshot="best_validation", leaks=False)


def make_models(mixed: dict[str, tuple[int, int]], iterative: dict[str, tuple[int, int]] | None = None) -> pd.DataFrame:
    """{trial: (ratio or share, seed)}."""
    frames = [
        pd.DataFrame([(trial, *rest) for trial, rest in (part or {}).items()], columns=["trial", column, "seed"])
        for part, column in ((mixed, "ratio"), (iterative, "share"))
    ]
    return list_models(*frames)


def evidence_of(models: dict, iterative: dict | None = None, draws: int = 2000, **options):
    """One seed a setting: {ratio: (nice, real)} and {share: (nice, real)}."""
    mixed = {f"m{ratio}": (ratio, 0) for ratio in models}
    turns = {f"i{share}": (share, 0) for share in iterative or {}}
    both = {f"m{ratio}": value for ratio, value in models.items()}
    both |= {f"i{share}": value for share, value in (iterative or {}).items()}
    joined = make_joined(both, **options)
    return gather_evidence(joined, make_models(mixed, turns), np.random.default_rng(0), draws)


def judged(evidence, *published) -> pd.DataFrame:
    return judge_hypotheses(evidence, *published).set_index("hypothesis")


def test_clear_differences_are_supported_or_refuted_and_equal_the_counts():
    table = judged(evidence_of({0: (95, 10), 50: (60, 60), 100: (20, 40)}, {30: (50, 30), 70: (40, 30)}))
    assert table.loc[NICE, ["estimate", "verdict"]].tolist() == [pytest.approx(0.35), "supported"]
    assert table.loc[REAL, ["estimate", "verdict"]].tolist() == [pytest.approx(-0.20), "refuted"]
    assert table.loc[ITERATIVE, "estimate"] == pytest.approx(np.sqrt(0.5 * 0.3) - 0.6)
    assert table.loc[ITERATIVE, "verdict"] == "refuted"
    assert (table["low"] <= table["estimate"]).all() and (table["estimate"] <= table["high"]).all()
    given = re.findall(r"[+-]?\d\.\d{3}", table.loc[NICE, "sentence"])
    assert given == ["0.950", "0.600", "+0.350", *(f"{table.loc[NICE, end]:+.3f}" for end in ("low", "high"))]


def test_the_interval_equals_a_paired_bootstrap_written_out():
    one, other = hits(60), hits(60, first=30)
    table = judged(evidence_of({0: (one, 50), 50: (other, 50)}, draws=20_000))
    generator = np.random.default_rng(1)
    drawn = generator.integers(IMAGES, size=(20_000, IMAGES))
    differences = one[drawn].mean(axis=1) - other[drawn].mean(axis=1)
    expected = np.quantile(differences, [0.025, 0.975])
    assert table.loc[NICE, ["low", "high"]].tolist() == pytest.approx(expected, abs=0.011)
    assert table.loc[NICE, "verdict"] == "undecided"


def test_equal_models_do_not_differ_in_any_draw():
    table = judged(evidence_of({0: (50, 50), 100: (50, 50)}, {50: (50, 50)}))
    assert (table.loc[[NICE, REAL, ITERATIVE], ["low", "high"]] == 0).all(axis=None)
    assert (table.loc[[NICE, REAL, ITERATIVE], "verdict"] == "undecided").all()


def test_near_duplicates_are_drawn_together_and_so_decide_less():
    models = {0: (hits(60), 50), 50: (hits(40), 50)}
    alone = judged(evidence_of(models)).loc[NICE]
    together = judged(evidence_of(models, clusters=np.arange(IMAGES) // 20)).loc[NICE]
    assert alone["verdict"] == "supported" and together["verdict"] == "undecided"


def test_rivals_and_best_models_are_picked_on_the_validation_images():
    models = {0: (50, 50), 30: (90, 90), 60: (40, 40)}
    evidence = evidence_of(models, {20: (30, 30), 80: (99, 99)}, validation={"m60": (99, 99), "i20": (100, 100)})
    table = judged(evidence)
    assert table.loc[NICE, "estimate"] == pytest.approx(0.5 - 0.4)
    assert table.loc[ITERATIVE, "estimate"] == pytest.approx(0.3 - 0.4)
    assert table.loc[BEST, "estimate"] == 30
    assert re.findall(r"(?:at|pick) (\d+)%", table.loc[BEST, "sentence"]) == ["30", "60"]


@pytest.mark.parametrize(("best", "verdict", "share"), [(50, "supported", 1), (70, "supported", 1), (80, "refuted", 0)])
def test_the_best_ratio_counts_as_near_within_twenty_points(best, verdict, share):
    models = {ratio: (90, 90) if ratio == best else (30, 30) for ratio in (0, 50, 70, 80, 100)}
    row = judged(evidence_of(models)).loc[BEST]
    assert row[["estimate", "low", "high", "near", "verdict"]].tolist() == [best, best, best, share, verdict]


def test_ratios_that_always_tie_share_the_draws():
    evidence = evidence_of({0: (50, 50), 50: (50, 50), 100: (20, 20)})
    assert best_ratio_distribution(evidence)["share"].tolist() == [0.5, 0.5, 0]
    assert judged(evidence).loc[BEST, "verdict"] == "undecided"


def test_seeds_that_differ_widen_the_interval():
    joined = make_joined({"a": (100, 100), "b": (0, 0), "c": (50, 50)})
    models = make_models({"a": (0, 0), "b": (0, 1), "c": (50, 0)})
    settings = gather_evidence(joined, models, np.random.default_rng(0)).settings.loc["mixed"]
    assert settings.loc[0, ["trials", "performance", "performance_low", "performance_high"]].tolist() == [2, 0.5, 0, 1]
    assert settings.loc[50, "performance_low"] > 0.35


def test_the_same_seeds_are_drawn_for_both_sides():
    joined = make_joined({"a": (90, 90), "b": (10, 10), "c": (90, 90), "d": (10, 10)})
    models = make_models({"a": (0, 0), "b": (0, 1), "c": (50, 0), "d": (50, 1)})
    table = judged(gather_evidence(joined, models, np.random.default_rng(0)))
    assert table.loc[NICE, ["low", "high"]].tolist() == [0, 0]


def test_the_same_generator_gives_the_same_verdicts():
    models = {0: (95, 10), 50: (60, 60), 100: (20, 40)}
    pd.testing.assert_frame_equal(judged(evidence_of(models)), judged(evidence_of(models)))


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
        gather_evidence(joined.assign(leaks=joined["domain"] == "nice"), models, np.random.default_rng(0))
    settings = gather_evidence(joined.assign(leaks=leaking), models, np.random.default_rng(0)).settings
    assert list(settings.index) == [("mixed", 0), ("mixed", 50)] and (settings["nice"] == 0).all()


def test_results_that_cannot_be_judged_are_refused():
    joined = make_joined({"a": (50, 50)})
    with pytest.raises(ValueError, match="no mixed model"):
        gather_evidence(joined, make_models({}, {"a": (50, 0)}), np.random.default_rng(0))
    with pytest.raises(ValueError, match="validation and test"):
        gather_evidence(joined[joined["split"] == "test"], make_models({"a": (50, 0)}), np.random.default_rng(0))


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

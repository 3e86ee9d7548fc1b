"""Ratios with a frozen backbone: the numbers of the mixing study's functions, and a verdict that follows from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.metrics import join_predictions, trial_metrics
from mixvision.reporting.published import PublishedMixing
from mixvision.studies.transfer.ratios import best_frozen_ratio, ratio_sentence, ratio_table

RATIOS = pd.DataFrame(
    {
        "ratio": [0, 30, 60],
        "trials": 1,
        "nice_top1": 0.9,
        "real_top1": 0.8,
        "performance_top1": [0.7, 0.85, 0.9],
        "low": [0.6, 0.8, 0.85],
        "high": [0.8, 0.9, 0.95],
        "validation_performance_top1": [0.7, 0.9, 0.8],
        "behind_low": [0.1, 0.0, -0.1],
        "behind_high": [0.2, 0.0, 0.02],
    }
)


def published(**performances: float) -> PublishedMixing:
    rows = [{"ratio": int(name[1:]), "performance_top1": value} for name, value in performances.items()]
    return PublishedMixing("Table 2 of a paper", rows=rows)


def test_the_table_holds_the_test_accuracies_and_what_the_best_is_picked_by(study, transfer):
    metrics = trial_metrics(join_predictions(study.predictions, study.manifest))
    metrics = metrics[metrics["snapshot"] == "best_validation"].set_index(["split", "trial"])
    names = [f"ratio-{ratio:03d}-seed-0" for ratio in transfer.ratios["ratio"]]
    for column in ("nice_top1", "real_top1", "performance_top1"):
        assert transfer.ratios[column].tolist() == metrics.loc["test"].loc[names, column].tolist()
    validated = metrics.loc["validation"].loc[names, "performance_top1"]
    assert transfer.ratios["validation_performance_top1"].tolist() == validated.tolist()
    assert (transfer.ratios["low"] < transfer.ratios["performance_top1"]).all()
    assert (transfer.ratios["high"] > transfer.ratios["performance_top1"]).all()


def test_a_ratio_that_is_better_on_the_test_images_does_not_make_the_best_move():
    ratios = RATIOS.assign(behind_high=[0.2, 0.0, -0.01])
    assert ratio_sentence(ratios, published(r60=0.6)).endswith("do not show that the best ratio moves.")


def test_how_far_a_ratio_is_behind_is_measured_on_the_same_images(study, transfer):
    """The best ratio is 0 behind itself, and a ratio with the same predictions is 0 behind, more or less."""
    ratios = transfer.ratios.set_index("ratio")
    best = best_frozen_ratio(transfer.ratios)
    assert ratios.loc[best, ["behind_low", "behind_high"]].tolist() == [0, 0]
    behind = ratios.loc[best, "performance_top1"] - ratios["performance_top1"]
    assert (ratios["behind_low"] <= behind).all() and (behind <= ratios["behind_high"]).all()
    names = dict(zip(study.trials["ratio"], study.trials["trial"], strict=True))
    same = study.predictions[study.predictions["trial"] == names[best]]
    others = study.predictions[study.predictions["trial"] != names[0]]
    joined = join_predictions(pd.concat([others, same.assign(trial=names[0])]), study.manifest)
    table = ratio_table(joined, study.trials).set_index("ratio")
    assert table.loc[0, ["behind_low", "behind_high"]].tolist() == [0, 0], "the first of two best ones"
    assert table.loc[best, "behind_high"] == -table.loc[best, "behind_low"] > 0
    assert table.loc[0, "low"] < table.loc[0, "high"]


def test_without_mixed_models_the_table_is_empty(study, transfer):
    joined = join_predictions(study.predictions.head(0), study.manifest)
    empty = ratio_table(joined, study.trials)
    assert empty.empty and list(empty) == list(transfer.ratios)


def test_the_best_ratio_is_picked_on_validation_images():
    assert best_frozen_ratio(RATIOS) == 30
    with pytest.raises(ValueError, match="No ratio has a validation performance"):
        best_frozen_ratio(RATIOS.assign(validation_performance_top1=np.nan))


BEST = (
    "With heads on frozen features, 30% real is best on the validation images, with a test performance of 0.850 "
    "(95% interval 0.800 to 0.900)"
)


@pytest.mark.parametrize(
    ("paper", "verdict"),
    [
        (None, "."),
        (
            published(r0=0.5, r30=0.6),
            "; the published best for training from scratch is 30% (0.600): the best ratio does not move.",
        ),
        (
            published(r0=0.5, r60=0.6),
            "; the published best for training from scratch is 60% (0.600). Here 60% gives 0.900, a difference of "
            "-0.050 (95% interval on the same images -0.100 to 0.020): these test images cannot tell whether "
            "the best ratio moves.",
        ),
        (
            published(r0=0.5, r60=0.4),
            "; the published best for training from scratch is 0% (0.500). Here 0% gives 0.700, a difference of 0.150 "
            "(95% interval on the same images 0.100 to 0.200): the best ratio moves.",
        ),
        (
            published(r50=0.6),
            "; the published best for training from scratch is 50% (0.600), which was not tried here.",
        ),
        (PublishedMixing("a paper", rows=[{"ratio": 0, "nice_top1": 0.9}]), "."),
    ],
)
def test_the_verdict_follows_from_the_numbers(paper, verdict):
    assert ratio_sentence(RATIOS, paper) == BEST + verdict

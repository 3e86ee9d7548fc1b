"""Reliability and its error against torchmetrics and counting by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from mixvision.evaluation.calibration import expected_calibration_error, reliability


def make_selected(confidence: list[float], right: list[bool]) -> pd.DataFrame:
    return pd.DataFrame({"probability_1": np.array(confidence, "float32"), "top1": right})


def test_bins_hold_what_was_counted_by_hand():
    table = reliability(make_selected([0.55, 0.6, 0.9, 0.7, 1.0], [True, False, True, True, False]), bins=5)
    assert table["low"].to_list() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert table["high"].to_list() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert table["images"].sum() == 5 and table["images"].to_list()[:2] == [0, 0]
    assert table["accuracy"].iloc[4] == 0.5 and table["confidence"].iloc[4] == pytest.approx(0.95)
    assert table.loc[0, ["confidence", "accuracy"]].isna().all()


@pytest.mark.parametrize("bins", [1, 4])
def test_a_confidence_on_a_bound_belongs_to_the_bin_below(bins):
    table = reliability(make_selected([0.25, 0.5, 1.0, 0.0], [True] * 4), bins)
    assert table["images"].to_list() == ([4] if bins == 1 else [2, 1, 0, 1])


def test_a_confidence_that_rounding_put_above_1_is_in_the_last_bin():
    table = reliability(make_selected([0.1, np.nextafter(np.float32(1), np.float32(2))], [False, True]), bins=4)
    assert table["images"].to_list() == [1, 0, 0, 1]


@pytest.mark.parametrize("bins", [5, 15])
def test_the_error_equals_torchmetrics(bins):
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.2, 1, 500).astype("float32")
    right = generator.random(500) < confidence**2
    expected = binary_calibration_error(
        torch.from_numpy(confidence), torch.from_numpy(right.astype(int)), n_bins=bins, norm="l1"
    )
    error = expected_calibration_error(make_selected(list(confidence), list(right)), bins)
    assert error == pytest.approx(float(expected), abs=1e-5)
    assert error > 0.1
    if bins == 15:
        assert expected_calibration_error(make_selected(list(confidence), list(right))) == error


def test_a_model_that_is_as_sure_as_it_is_right_has_no_error():
    assert expected_calibration_error(make_selected([0.75] * 4, [True, True, True, False])) == pytest.approx(0)
    assert expected_calibration_error(make_selected([1.0] * 4, [False] * 4)) == 1


def test_no_images_have_no_error_and_no_bins_are_refused():
    none = make_selected([], [])
    assert np.isnan(expected_calibration_error(none))
    assert reliability(none)["images"].to_list() == [0] * 15
    with pytest.raises(ValueError, match="bins is 0; a reliability diagram needs 1"):
        reliability(none, bins=0)

"""The sheet of hits and misses, for a network with feature maps and for one without."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.mistakes import hits_and_misses
from mixvision.models.attention import where_it_looks
from mixvision.models.backbones import Backbone, load_backbone
from mixvision.models.trained import TrainedNetwork
from mixvision.models.transfer import transfer_network
from mixvision.reporting.contact_sheets import activation_sheet
from mixvision.studies.transfer.activations import hits_and_misses_sheet


def untrained(backbone: str, size: int) -> TrainedNetwork:
    network = transfer_network(load_backbone(Backbone(backbone, "random")), size, "linear", 3)
    arguments = {"backbone": backbone, "input_size": size, "head": "linear"}
    return TrainedNetwork("transfer", ("0", "1", "2"), 16, network.state_dict(), arguments)


@pytest.fixture
def selected(small_manifest) -> pd.DataFrame:
    """Predictions of the test images, every third of them wrong."""
    test = small_manifest[small_manifest["split"] == "test"].reset_index(drop=True)
    said = [str((int(row.category) + (row.Index % 3 == 0)) % 3) for row in test.itertuples()]
    return test.assign(prediction_1=said, probability_1=0.9, top1=test["category"] == said)


def test_the_sheet_shows_activation_maps_of_right_and_wrong_predictions(selected, small_pixels):
    model = untrained("test_resnet", 16)
    sheet = hits_and_misses_sheet(model, selected, small_pixels, 6, np.random.default_rng(1))
    rows = hits_and_misses(selected, 6, np.random.default_rng(1))
    assert set(rows["domain"]) == {"nice", "real"} and (rows["category"] != rows["prediction"]).sum() == 3
    shown = np.stack([small_pixels[domain][row] for domain, row in zip(rows["domain"], rows["pixel_row"], strict=True)])
    heatmaps = where_it_looks(model, shown, list(rows["prediction"]))
    np.testing.assert_array_equal(sheet, activation_sheet(rows, small_pixels, heatmaps))


def test_transformers_have_no_sheet(selected, small_pixels):
    assert (
        hits_and_misses_sheet(untrained("test_vit", 160), selected, small_pixels, 2, np.random.default_rng(1)) is None
    )

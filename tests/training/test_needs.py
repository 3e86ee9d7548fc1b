"""Estimates of memory: what grows with what, what a network keeps, and what the warning says."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import nn

from mixvision.training import needs as needs_module
from mixvision.training.config import Training
from mixvision.training.needs import (
    Need,
    footprint,
    needs_table,
    pixels_need,
    predictions_need,
    shortage,
    warn_of_shortage,
)
from mixvision.training.sweep.needs import stacks_that_fit, sweep_needs

MIXED = Training(accelerator="cpu", stack_size=2)


def test_a_footprint_is_what_autograd_keeps_by_image_and_without_the_weights():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Sigmoid(), nn.Linear(5, 2))
    found = footprint(network, 2)
    assert found.weights == 4 * (12 * 5 + 5 + 5 * 2 + 2)
    assert (found.fixed, found.image) == (0, 4 * (12 + 5))  # the input of the first layer, the output of the sigmoid
    assert found.largest == 4 * (12 + 12)  # into and out of Flatten
    assert found.step(10) == 15 * found.image


def test_what_is_needed_shrinks_with_what_the_message_names(small_manifest):
    sets = pd.DataFrame(
        [(trial, id) for trial in "abc" for id in small_manifest.query("split == 'train'")["id"]],
        columns=["trial", "id"],
    )
    needs = sweep_needs(small_manifest, sets, 16, MIXED)
    pixels, stack, predictions = needs
    assert pixels == Need("pixels of 240 images", 2 * 240 * 16 * 16 * 3, "image_size (now 16)")
    assert stack.what == "a stack of 2" and stack.lower == "stack_size (now 2)"
    assert predictions == predictions_need(5 * 3, small_manifest, "the number of models (now 3)")
    smaller = sweep_needs(small_manifest, sets, 16, Training(accelerator="cpu", stack_size=1))
    assert smaller[1].bytes == stack.bytes // 2
    doubled = sweep_needs(small_manifest, sets, 16, Training(accelerator="cpu", stack_size=2, precision="64-true"))
    assert 1.9 < doubled[1].bytes / stack.bytes < 2
    few = pixels_need(small_manifest, 16, sets["id"].head(10))
    assert few.what == "pixels of 130 images"  # the held-out ones, and ten


def test_the_message_names_the_largest_needs_and_how_to_lower_them():
    needs = [
        Need("predictions", 10**8, "the number of models (now 11)"),
        Need("pixels", 9_100_000_000, "image_size (now 224)"),
        Need("a stack of 11", 3_800_000_000, "stack_size (now 11)"),
    ]
    assert needs_table(needs)["what"].tolist() == ["pixels", "a stack of 11", "predictions"]
    assert shortage("mixing", needs, 13_000_000_000) == ""
    assert shortage("mixing", needs, 8 * 10**9) == (
        "mixing needs about 13.0 GB of memory (pixels 9.1 GB, a stack of 11 3.8 GB, predictions 100 MB), and 8.0 GB "
        "are free: lower image_size (now 224) or stack_size (now 11) or the number of models (now 11)."
    )


@pytest.mark.parametrize(
    ("device", "free", "warnings"),
    [
        ("cpu", {"cpu": 100}, ["120 MB of memory"]),
        ("cuda", {"cpu": 100, "cuda": 100}, []),
        ("cuda", {"cpu": 10, "cuda": 50}, ["80 MB of the GPU's memory", "40 MB of memory"]),
    ],
)
def test_a_gpu_and_the_memory_beside_it_are_counted_apart(monkeypatch, caplog, device, free, warnings):
    monkeypatch.setattr(needs_module, "free_bytes", lambda place: free[place.type] * 10**6)
    needs = [
        Need("a stack of 2", 80 * 10**6, "stack_size (now 2)"),
        Need("predictions", 40 * 10**6, "the number of models (now 2)", in_main_memory=True),
    ]
    warn_of_shortage("Training", needs, torch.device(device))
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition("about ")[2].partition(" (")[0] for text in told] == warnings


@pytest.mark.parametrize(
    ("largest", "free", "stacks"),
    [(11, 110, 1), (11, 109, 2), (11, 59, 4), (11, 29, 8), (11, 19, 11), (11, 0, 11), (4, 40, 3), (4, 39, 6)],
)
def test_a_stack_is_capped_before_it_is_tried(largest, free, stacks):
    assert stacks_that_fit(11, largest, 10, free) == stacks


def test_footprints_leave_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    footprint(network, 16)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())

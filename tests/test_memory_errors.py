"""A step that runs out of memory is named, with what to lower."""

from __future__ import annotations

from errno import ENOMEM

import pytest
from kedro.pipeline.node import Node

from mixvision.memory_errors import MemoryErrors, what_to_lower
from mixvision.studies.transfer.trials import Transfer
from mixvision.training.config import Training

NODE = Node(lambda: None, None, "output", name="mixing.train.train_models")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA error: out of memory"), OSError(ENOMEM, "of a map")]
)
def test_an_error_of_memory_names_the_step_and_what_to_lower(error):
    MemoryErrors().on_node_error(error, NODE, {"params:mixing.training": Training(stack_size=11), "manifest": 1})
    (note,) = error.__notes__
    lower = "mixing.training.stack_size (now 11) or image_size in globals.yml, or the number of images"
    assert note == f"mixing.train.train_models ran out of memory: lower {lower}."


def test_other_errors_stay_as_they_are():
    error = RuntimeError("a shape is wrong")
    MemoryErrors().on_node_error(error, NODE, {})
    assert not hasattr(error, "__notes__")


def test_values_are_shown_as_they_are_written():
    found = what_to_lower({"params:transfer.study": Transfer(input_sizes=(96, 192)), "params:training": Training()})
    assert (
        found[:3]
        == [
            "transfer.study.input_sizes (now [96, 192])",
            "transfer.study.batch_size (now 64)",
            "transfer.study.fine_tunings (now [])",
        ]
        and "training.stack_size (now automatic)" in found
    )

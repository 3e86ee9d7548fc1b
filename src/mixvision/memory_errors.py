"""Says which step ran out of memory, and what to lower."""

from __future__ import annotations

import logging
from dataclasses import fields, is_dataclass
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

log = logging.getLogger(__name__)

# Parameters on which the memory of a step depends.
DECIDING = (
    "stack_size",
    "batch_size",
    "batch_sizes",
    "input_sizes",
    "fine_tunings",
    "ratios",
    "seeds",
    "embedded_images",
)
IMAGE_SIZE = "image_size in globals.yml, or the number of images"


class MemoryErrors:
    """Adds a sentence to an error of memory, and logs it: Python's and PyTorch's own do not say what to do."""

    @hook_impl(tryfirst=True)
    def on_node_error(self, error: Exception, node: Node, inputs: dict[str, Any]) -> None:
        from mixvision.training.memory import is_out_of_memory

        if is_out_of_memory(error):
            sentence = f"{node.name} ran out of memory: lower {' or '.join(what_to_lower(inputs))}."
            error.add_note(sentence)
            log.error(sentence)


def what_to_lower(inputs: dict[str, Any]) -> list[str]:
    """The parameters of a step that decide how much memory it takes, with their values; and the images' size."""
    found = []
    for name, value in inputs.items():
        if name.startswith("params:") and is_dataclass(value):
            place = name.removeprefix("params:")
            known = [field.name for field in fields(value) if field.name in DECIDING]
            found += [f"{place}.{known_name} (now {_shown(getattr(value, known_name))})" for known_name in known]
    return [*found, IMAGE_SIZE]


def _shown(value: object) -> object:
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return f"{len(value)} of them"
    return "automatic" if value is None else list(value) if isinstance(value, tuple) else value

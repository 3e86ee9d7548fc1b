"""PyTorch's own randomness, made to follow from whole numbers and kept from leaking out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(*parts: int) -> Iterator[None]:
    """First weights and dropout within it follow from the parts (0 or more) alone; afterwards all is as it was.

    That goes for the CPU and, where CUDA is initialised, for the current CUDA device.
    """
    # Without their number first, (1,) and (1, 0) would be the same entropy.
    seed = int(np.random.SeedSequence([len(parts), *parts]).generate_state(1, np.uint64)[0])
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach devices that are not restored
        if devices:
            torch.cuda.manual_seed(seed)
        yield

"""Seeds PyTorch's global random state for a block of code, and restores it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(*parts: int) -> Iterator[None]:
    """Seed PyTorch within a context from ``parts`` (integers of 0 or more) alone, and restore its state afterwards.

    This covers the CPU and, if CUDA is initialised, the current CUDA device.
    """
    # The number of parts comes first, as (1,) and (1, 0) would otherwise give the same entropy.
    seed = int(np.random.SeedSequence([len(parts), *parts]).generate_state(1, np.uint64)[0])
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach devices that are not restored
        if devices:
            torch.cuda.manual_seed(seed)
        yield

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A smooth RGB picture, 96x64, that survives JPEG compression; a bright corner shows how it is turned."""
    rows, columns = np.mgrid[0:64, 0:96]
    channels = [rows * 255 // 64, columns * 255 // 96, 255 - (rows + columns) * 255 // 160]
    picture = np.stack(channels, axis=-1).astype(np.uint8)
    picture[:20, :30] = (255, 255, 0)
    return Image.fromarray(picture)


@pytest.fixture(scope="session")
def make_folder():
    """`make_folder(root, {"apple": 3, ...}, seed)` writes that many different pictures per category as PNG."""

    def make(root: Path, counts: dict[str, int], seed: int = 0) -> Path:
        generator = np.random.default_rng(seed)
        for category, count in counts.items():
            (root / category).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                coarse = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
                coarse.resize((24, 24), Image.Resampling.BICUBIC).save(root / category / f"{number:03d}.png")
        return root

    return make

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mixvision.images.sources import RawImages, open_source


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


@pytest.fixture
def shots(tmp_path) -> Path:
    """Images whose paths say nothing: 1.png to 4.png in the folder images."""
    (tmp_path / "shots" / "images").mkdir(parents=True)
    for number in range(1, 5):
        Image.new("L", (8, 8), number).save(tmp_path / "shots" / "images" / f"{number}.png")
    return tmp_path / "shots"


@pytest.fixture
def read(shots, tmp_path):
    """Opens the images with labels: `read("labels.csv", content)`."""

    def opened(name: str | None = None, content: str | bytes = "", **options) -> RawImages:
        options.setdefault("labels", name)
        if name is not None:
            path = shots / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_source(str(shots), "nice", tmp_path / "data" / "study" / "nice", **options)

    return opened

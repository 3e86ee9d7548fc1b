"""What transfer learning needs of the memory: its backbones are used one after the other."""

from __future__ import annotations

import pandas as pd

from mixvision.models.backbones import Backbone, load_backbone
from mixvision.models.freezing import freeze
from mixvision.studies.transfer.trials import Transfer
from mixvision.training.config import EpochTraining
from mixvision.training.memory import images_at_once
from mixvision.training.needs import Footprint, Need, footprint, pixels_need, predictions_need
from mixvision.transforms.test_time import TEST_VIEWS

FEATURES_AT_ONCE = 2  # the chunks, and the whole that they are joined to
COPIES = 8  # of a fine-tuned network's weights: loaded, copied, gradients, Adam's two moments, two snapshots, saved
FROZEN_COPIES = 2
SNAPSHOTS_KEPT = 2


def transfer_needs(
    trials: pd.DataFrame,
    backbones: pd.DataFrame,
    manifest: pd.DataFrame,
    side: int,
    study: Transfer,
    how: EpochTraining,
) -> list[Need]:
    """The images, the features and the network that take most, the probabilities and the predictions.

    Args:
        trials: one row per model.
        backbones: one row per backbone and input size: backbone, weights, input_size, features.
        manifest: one row per image.
        side: of the stored images, in pixels.
        study: how networks are fine-tuned, and further views of the images.
        how: device and precision.
    """
    kept = manifest[manifest["status"] == "kept"]
    train, held_out = kept.loc[kept["split"] == "train", "id"], int((kept["split"] != "train").sum())
    views, widest = 1 + len(TEST_VIEWS[study.test_views]), int(backbones["features"].max())
    answers = SNAPSHOTS_KEPT * len(trials) * views * held_out * kept["category"].nunique() * 4
    networks = {name: _network_bytes(*name, study, how) for name in _largest_inputs(backbones)}
    (name, _, size), taken = max(networks.items(), key=lambda item: item[1])
    features = (FEATURES_AT_ONCE * len(kept) + (views - 1) * held_out) * widest * 4
    models = f"the number of models (now {len(trials)})"
    return [
        pixels_need(manifest, side, train, how.on_gpu),
        Need(f"{widest} features of {len(kept):,} images", features, "the number of images", in_main_memory=True),
        Need(f"{name} at {size} pixels", taken, f"input_sizes (now {size}) or the fine-tunings' batch_size"),
        Need("probabilities", answers, models, in_main_memory=True),
        predictions_need(SNAPSHOTS_KEPT * len(trials), manifest, models),
    ]


def _largest_inputs(backbones: pd.DataFrame) -> list[tuple[str, str, int]]:
    largest = backbones.sort_values("input_size").drop_duplicates(["backbone", "weights"], keep="last")
    return [(row.backbone, row.weights, int(row.input_size)) for row in largest.itertuples()]


def _network_bytes(name: str, weights: str, size: int, study: Transfer, how: EpochTraining) -> int:
    """What extracting features takes, or the fine-tuning that takes most."""
    network = load_backbone(Backbone(name, weights), study.seed).network
    freeze(network, "head", False)
    frozen = footprint(network, size)
    most = FROZEN_COPIES * frozen.weights + frozen.prediction(images_at_once(size, how.on_gpu))
    for plan in study.fine_tunings:
        for phase in plan.phases:
            freeze(network, phase.trainable_blocks, plan.batch_statistics)
            one: Footprint = footprint(network, size)
            most = max(most, COPIES * one.weights + one.step(plan.batch_size))
    return most * how.dtype.itemsize // 4

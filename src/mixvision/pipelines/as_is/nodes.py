"""Pretrained networks as they are: how well do they classify a study's images without any training?"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from mixvision.evaluation.classification import accuracies
from mixvision.evaluation.ensembles import top_predictions
from mixvision.evaluation.metrics import join_predictions
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.backbones import load_backbone
from mixvision.models.imagenet import imagenet_classes
from mixvision.reporting.formatting import markdown_table, number
from mixvision.reporting.names import plain_name
from mixvision.studies.transfer.tables import PRETRAINED_ON
from mixvision.studies.transfer.trials import Transfer, input_sizes
from mixvision.training.config import EpochTraining
from mixvision.training.frozen.backbone import FrozenBackbone, as_is_probabilities
from mixvision.training.pool import pool_images

log = logging.getLogger(__name__)


def classify(
    unsplit_manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    study: Transfer,
    training: EpochTraining,
    features: Path,
) -> pd.DataFrame:
    """The predictions of every backbone for all kept images whose category is one of ImageNet's."""
    images = images_to_classify(unsplit_manifest)
    pool = pool_images(images, pixels_by_domain(nice_images, real_images), pd.Series(dtype=str), held_out=("test",))
    tables = []
    for backbone in study.all_backbones():
        loaded = load_backbone(backbone, study.seed)
        for size in input_sizes(study, loaded):
            frozen = FrozenBackbone(backbone, loaded, size, pool, features, training)
            frames = dict(zip(("as is", "restricted"), as_is_probabilities(frozen), strict=True))
            for way, frame in frames.items():
                trial = f"{backbone.name}, {size} pixels, {way}"
                tables.append(top_predictions(frame.drop(columns="view"), trial, "best_validation"))
    return pd.concat(tables, ignore_index=True)


def measure(predictions: pd.DataFrame, unsplit_manifest: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """One row per network and way: images, top1, top5, and the share of answers outside the study's categories."""
    manifest = images_to_classify(unsplit_manifest)
    joined = join_predictions(predictions, manifest, tops=(1, 5))
    categories = set(manifest.loc[manifest["status"] == "kept", "category"])
    outside = (~joined["prediction_1"].isin(categories)).groupby(joined["trial"]).mean()
    table = accuracies(joined).drop(columns=["snapshot", "split"])
    table["outside"] = table["trial"].map(outside)
    shown = table.assign(**{name: table[name].map(number) for name in table.select_dtypes("float")})
    shown = shown.rename(columns=plain_name)
    text = (
        f"Pretrained networks as they are, on {len(categories)} of ImageNet's thousand classes. Outside: the share of "
        f"images classified as something that is not in the study. {PRETRAINED_ON}"
    )
    return table, f"{text}\n\n{markdown_table(shown)}"


def images_to_classify(unsplit_manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest with every kept image of ImageNet's classes in the test split; the others are excluded.

    Raises:
        ValueError: no category is one of ImageNet's.
    """
    kept = unsplit_manifest["status"] == "kept"
    categories = sorted(unsplit_manifest.loc[kept, "category"].unique())
    known = imagenet_classes(categories)
    if not known:
        raise ValueError(
            f"None of the categories ({', '.join(categories[:5])}, ...) is one of ImageNet's thousand classes, so a "
            "network cannot recognise them without training: name folders by WordNet ids (n02085620), or run the "
            "transfer pipeline, which trains new heads."
        )
    if unknown := sorted(set(categories) - set(known)):
        log.warning("Left out categories that ImageNet does not have: %s.", ", ".join(unknown))
    judged = kept & unsplit_manifest["category"].isin(known)
    status = unsplit_manifest["status"].where(judged, "excluded")
    return unsplit_manifest.assign(status=status, split=judged.map({True: "test", False: ""}))

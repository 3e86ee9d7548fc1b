"""The sanity check: can every architecture overfit a few images?"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import torch

from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.trained import ARCHITECTURES
from mixvision.reporting.formatting import markdown_table
from mixvision.studies.sanity_check.overfitting import Overfitting, choose_images, overfit
from mixvision.training.config import Arithmetic
from mixvision.training.pool import pool_images

log = logging.getLogger(__name__)


def overfit_images(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    models: list[str],
    overfitting: Overfitting,
    arithmetic: Arithmetic,
) -> tuple[pd.DataFrame, str]:
    """One row per model: model, passed, steps, accuracy, cross_entropy, parameters; and the same as text."""
    if not isinstance(models, list) or not models or not set(models) <= set(ARCHITECTURES):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"sanity_check.models is {models!r}; give a list of one or more of {known}, such as [cnn].")
    arithmetic.require_available()
    chosen = choose_images(manifest, overfitting)
    pool = pool_images(chosen, pixels_by_domain(nice_images, real_images), chosen["id"], held_out=())
    images = pool.gather(torch.arange(len(pool.ids)))
    rows = []
    for model in models:
        network = ARCHITECTURES[model](2, images.shape[-1])
        result = overfit(network, images, pool.labels, overfitting, arithmetic)
        parameters = sum(weights.numel() for weights in network.parameters())
        rows.append({"model": model, "passed": result["accuracy"] == 1, **result, "parameters": parameters})
        log.info("%s: %s", model, rows[-1])
    table = pd.DataFrame(rows)
    shown = table.assign(accuracy=table["accuracy"].map("{:.3f}".format), passed=np.where(table["passed"], "yes", "no"))
    title = f"Can each model overfit {overfitting.images:,} images of two categories in {overfitting.steps:,} steps?"
    return table, f"{title}\n\n{markdown_table(shown.drop(columns='cross_entropy'))}"


def require_overfit(table: pd.DataFrame) -> None:
    """Raise RuntimeError if a model could not overfit: something keeps it from learning."""
    failed = table[~table["passed"]]
    if len(failed):
        named = ", ".join(f"{row.model} ({row.accuracy:.1%} after {row.steps:,} steps)" for row in failed.itertuples())
        raise RuntimeError(
            f"These models could not overfit a few images: {named}. Look for a fault in the architecture or the "
            "preprocessing, or try another sanity_check.overfitting.learning_rate or more steps."
        )

"""The sanity check: can every architecture learn a few images by heart?"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import torch

from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.trained import ARCHITECTURES
from mixvision.reporting.formatting import markdown_table
from mixvision.studies.sanity_check.memorising import Memorising, choose_images, memorise
from mixvision.training.config import Arithmetic
from mixvision.training.pool import pool_images

log = logging.getLogger(__name__)


def memorise_images(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    models: list[str],
    memorising: Memorising,
) -> tuple[pd.DataFrame, str]:
    """One row a model: model, passed, steps, accuracy, cross_entropy, parameters; and the same as text."""
    if not isinstance(models, list) or not models or not set(models) <= set(ARCHITECTURES):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"sanity_check.models is {models!r}; give a list of one or more of {known}, such as [cnn].")
    device = Arithmetic().device
    chosen = choose_images(manifest, memorising)
    pool = pool_images(chosen, pixels_by_domain(nice_images, real_images), chosen["id"], held_out=())
    images, labels = pool.gather(torch.arange(len(pool.ids))).to(device), pool.labels.to(device)
    rows = []
    for model in models:
        network = ARCHITECTURES[model](2, images.shape[-1]).to(device)
        result = memorise(network, images, labels, memorising)
        parameters = sum(weights.numel() for weights in network.parameters())
        rows.append({"model": model, "passed": result["accuracy"] == 1, **result, "parameters": parameters})
        log.info("%s: %s", model, rows[-1])
    table = pd.DataFrame(rows)
    shown = table.assign(accuracy=table["accuracy"].map("{:.3f}".format), passed=np.where(table["passed"], "yes", "no"))
    title = f"Can each model learn {memorising.images} images of two categories by heart, in {memorising.steps} steps?"
    return table, f"{title}\n\n{markdown_table(shown.drop(columns='cross_entropy'))}"


def require_memorised(table: pd.DataFrame) -> None:
    """Fail where a model could not: something in it keeps it from learning (RuntimeError)."""
    failed = table[~table["passed"]]
    if len(failed):
        named = ", ".join(f"{row.model} ({row.accuracy:.1%} after {row.steps} steps)" for row in failed.itertuples())
        raise RuntimeError(
            f"These models could not learn a few images by heart: {named}. Look for a fault in the architecture or the "
            "preprocessing, or give them another sanity_check.memorising.learning_rate or more steps."
        )

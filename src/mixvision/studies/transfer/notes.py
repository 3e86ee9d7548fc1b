"""The question of the transfer page, and what a reader has to know about its numbers and images."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mixvision.evaluation.metrics import mark_independent
from mixvision.reporting.published import PublishedTransfer
from mixvision.reporting.sections import INTERVALS
from mixvision.reporting.ties import ONE_SEED

QUESTION = (
    "How well do networks pretrained on ImageNet tell these categories apart: as they are, with a new head on their "
    "frozen features, and fine-tuned?"
)
NOTES = (
    "Unless noted, accuracies are top-1 at the snapshot chosen on validation: the weights of the epoch with the "
    "highest validation accuracy.",
    "The train accuracy is the running mean over the best epoch's batches. It is usually lower than the accuracy of "
    "that epoch's final weights, because the weights were still changing and because of dropout and altered views, if "
    "any.",
    "last epoch: weights at the end of training, measured on the same test images.",
    INTERVALS,
    ONE_SEED,
    "The best model is the one with the highest accuracy on the validation images. Its test accuracy is unbiased by "
    "that choice; on the test images another model may happen to be ahead.",
    "The column parameters counts the whole network, its frozen part included; trained is the largest number trained "
    "at a time. The training time of a head does not include computing the features, which is done once for all heads; "
    "time and epochs of a fine-tuned model include those of the head that it starts from. MB is the size of the "
    "weights in float32.",
    "Networks as they are see the central seven eighths of an image, as in their evaluation on ImageNet; all other "
    "models see the whole image.",
    "images/s is the speed of classification, measured with the backbone alone, as a head takes almost no time. An "
    "ensemble is assumed to run its members one after the other; the same holds for several views of an image.",
    "The ECE is measured on test images.",
)


def independent_test_sentence(manifest: pd.DataFrame) -> str | None:
    """A sentence on the independent test set, if there is one: a domain with test images only, unlike the other."""
    marked = mark_independent(manifest)
    independent = marked.loc[marked["split"] == "independent", "domain"]
    if independent.empty:
        return None
    return (
        f"The {len(independent):,} {independent.iloc[0]} images are an independent test set, measured apart from the "
        'other test images as "independent": none was used for training or for any choice.'
    )


def sources_sentence(sources: Mapping[str, str | None]) -> str | None:
    """Where the images of each domain come from; for a file or folder on this machine, only its name."""
    named = {
        domain: source if ":" in source else source.rstrip("/").rpartition("/")[2]
        for domain, source in sources.items()
        if source
    }
    return f"Sources: {'; '.join(f'{domain}: {name}' for domain, name in named.items())}." if named else None


def extent_sentence(manifest: pd.DataFrame, published: PublishedTransfer) -> str | None:
    """How many categories and images the published study had, if known, and how many this run has."""
    if published.images is None or published.categories is None:
        return None
    kept = manifest[manifest["status"] == "kept"]
    return (
        f"The study had {published.categories:,} categories and {published.images:,} images; this run has "
        f"{kept['category'].nunique():,} and {len(kept):,}. If these differ, files were left out or other images "
        "replace those of the study, and the accuracies are only roughly comparable."
    )

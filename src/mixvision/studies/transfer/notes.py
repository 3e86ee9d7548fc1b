"""What the page of transfer learning asks, and what a reader has to know of its numbers and images."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mixvision.evaluation.metrics import mark_independent
from mixvision.reporting.published import PublishedTransfer

QUESTION = (
    "How well do networks that were trained on ImageNet tell these categories apart: as they come, with a new head on "
    "their frozen features, and fine-tuned?"
)
NOTES = (
    "Accuracies are top-1, as fractions; top k: the category is among the first k predictions. Unless something else "
    "is said they are those of the snapshot best_validation: the epoch with the highest accuracy on the validation "
    "images. The test images played no part in it.",
    "train is the running mean over the best epoch's batches: the weights still changed meanwhile, and dropout and "
    "altered views of the images, where there are any, make it lower than the accuracy of that epoch's weights.",
    "last epoch: weights at the end of training, measured on the same test images.",
    "The 95% interval of an accuracy is a bootstrap over the test images, near-duplicates drawn together, the same "
    "resampled test sets for all models; it says how far these test images can be trusted, not how training varies.",
    "The best model is the one with the highest accuracy on the validation images. The test accuracy given for it is "
    "free of that choice; on the test images another model may happen to be ahead.",
    "parameters counts the whole network, its frozen part included; trained is the most that were trained at a time. "
    "The training time of a head does not include computing the features, which is done once for all heads; time and "
    "epochs of a fine-tuned model include those of the head it goes on from. MB is the size of the weights in float32.",
    "As it comes a network is shown the central seven eighths of an image, as it was when it was judged on ImageNet; "
    "all other models are shown the whole image.",
    "images/s is the pace of classifying, measured with the backbone, its head being next to nothing. An ensemble is "
    "taken to run its members one after the other, and several views of an image likewise.",
    "ECE: expected calibration error (Guo et al., 2017), the mean distance between how sure a model is and how often "
    "it is right, on test images.",
)


def independent_test_sentence(manifest: pd.DataFrame) -> str | None:
    """That a domain is an independent test set, where it is one: all its images are for testing, another's are not."""
    marked = mark_independent(manifest)
    independent = marked.loc[marked["split"] == "independent", "domain"]
    if independent.empty:
        return None
    return (
        f"The {len(independent):,} {independent.iloc[0]} images are an independent test set, measured apart from the "
        'other test images as "independent": none was trained on here, and none chose anything.'
    )


def sources_sentence(sources: Mapping[str, str | None]) -> str | None:
    """Where the images of each domain come from; of a file or folder on this machine the name alone."""
    named = {
        domain: source if ":" in source else source.rstrip("/").rpartition("/")[2]
        for domain, source in sources.items()
        if source
    }
    return f"Sources: {'; '.join(f'{domain}: {name}' for domain, name in named.items())}." if named else None


def extent_sentence(manifest: pd.DataFrame, published: PublishedTransfer) -> str | None:
    """How many categories and images the published study had, if that is given, and how many this run has."""
    if published.images is None or published.categories is None:
        return None
    kept = manifest[manifest["status"] == "kept"]
    return (
        f"The study had {published.categories:,} categories and {published.images:,} images; this run has "
        f"{kept['category'].nunique():,} and {len(kept):,}. Where that differs files were left out, or other images "
        "stand in for the study's, and accuracies compare only roughly."
    )

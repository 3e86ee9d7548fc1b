"""The question of the baselines' page, and what a reader has to know about its numbers."""

from __future__ import annotations

import pandas as pd

from mixvision.reporting.published import PublishedBaselines
from mixvision.reporting.sections import INTERVALS, published_note
from mixvision.reporting.ties import ONE_SEED

QUESTION = (
    "How well do plain networks, from a linear layer to a convolutional network, tell these categories apart, and what "
    "are the effects of batch size, learning rate, dropout and augmentation?"
)
NOTES = (
    "Unless noted, accuracies are top-1 at the snapshot chosen on validation: the weights of the epoch with the "
    "highest validation accuracy, restored after early stopping.",
    "The training accuracy is the running mean over the batches of the best epoch, measured while the weights changed, "
    "with dropout and augmentation. For these reasons alone it may be lower than the validation accuracy.",
    INTERVALS,
    ONE_SEED,
    "The best model, settings included, is the one with the highest accuracy on the validation images. Its test "
    "accuracy is unbiased by that choice; on the test images another model may happen to be ahead.",
    "All models of one kind start from the same initial weights, with the same limit on epochs. Batch size and "
    "expansion also change the number of steps: larger batches mean fewer, and an epoch of expanded images has eight "
    "times the examples, fewer without flips.",
)


def published_notes(manifest: pd.DataFrame, published: PublishedBaselines | None, image_size: int) -> list[str]:
    """Where the published numbers come from, and how this run differs from theirs."""
    if not published:
        return []
    notes = [published_note(published)]
    if published.image_size not in (None, image_size):
        notes.append(f"The sides of the images have {image_size} pixels here, {published.image_size} in the study.")
    images = int(((manifest["status"] == "kept") & (manifest["split"] == "train")).sum())
    if published.training_images not in (None, images):
        notes.append(f"There are {images:,} training images here, {published.training_images:,} in the study.")
    return notes

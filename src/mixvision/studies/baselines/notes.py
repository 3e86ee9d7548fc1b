"""What the page of the baselines asks, and what a reader has to know of its numbers."""

from __future__ import annotations

import pandas as pd

from mixvision.reporting.published import PublishedBaselines
from mixvision.reporting.sections import published_note

QUESTION = (
    "How well do plain networks, from a linear layer to a convolutional one, tell these categories apart, and what do "
    "batch size, learning rate, dropout and augmentation change about it?"
)
NOTES = (
    "Accuracies are top-1, as fractions. Unless something else is said they are those of the snapshot best_validation: "
    "the epoch with the highest accuracy on the validation images, restored after early stopping. The test images had "
    "no say in it.",
    "last: weights at the end of training, measured on the same test images.",
    "The training accuracy is the running mean over the batches of the best epoch, measured while the weights changed, "
    "with dropout and augmentation on. It may lie below the validation accuracy for these reasons alone.",
    "The 95% interval of an accuracy is a bootstrap over the test images, near-duplicates drawn together, the same "
    "resampled test sets for all models; it says how far these test images can be trusted, not how training varies.",
    "The best model is the one with the highest accuracy on the validation images, its settings included. The test "
    "accuracy given for it is free of that choice; on the test images another model may happen to be ahead.",
    "All models of one kind start from the same first weights and train for at most as many epochs. Batch size and "
    "expansion also change the number of steps: larger batches make fewer, and an epoch of expanded images has eight "
    "times the examples, fewer without flips.",
)


def published_notes(manifest: pd.DataFrame, published: PublishedBaselines | None, image_size: int) -> list[str]:
    """Where the published numbers come from, and in what this run differs from theirs."""
    if not published:
        return []
    notes = [published_note(published)]
    if published.image_size not in (None, image_size):
        notes.append(f"Images are {image_size} pixels a side here, {published.image_size} in the study.")
    images = int(((manifest["status"] == "kept") & (manifest["split"] == "train")).sum())
    if published.training_images not in (None, images):
        notes.append(f"There are {images:,} training images here, {published.training_images:,} in the study.")
    return notes

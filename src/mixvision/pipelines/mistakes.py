"""What models get wrong, as pictures, for the pipelines that compare settings."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
from PIL import Image

from mixvision.evaluation.mistakes import confident_mistakes, select_predictions
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.reporting.contact_sheets import sheets_of_mistakes

MISTAKES = ["mistakes", "mistakes_sheet", "hardest_sheet"]


def draw_mistakes(
    joined: pd.DataFrame,
    best: Collection[str],
    nice_images: ImageStore,
    real_images: ImageStore,
    count: int = 24,
    split: str = "test",
) -> tuple[pd.DataFrame, Image.Image, Image.Image]:
    """The most confident mistakes of the best trials, also as pictures, and the hardest images over all trials."""
    mistakes = confident_mistakes(select_predictions(joined, best, split=split), count)
    return mistakes, *sheets_of_mistakes(mistakes, joined, pixels_by_domain(nice_images, real_images), count, split)

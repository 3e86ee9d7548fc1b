"""The contact sheet that shows which parts of the images the best network uses."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from PIL import Image

from mixvision.evaluation.mistakes import hits_and_misses
from mixvision.models.attention import NoMapsError, where_it_looks
from mixvision.models.trained import TrainedNetwork
from mixvision.reporting.contact_sheets import activation_sheet

log = logging.getLogger(__name__)


def hits_and_misses_sheet(
    model: TrainedNetwork,
    selected: pd.DataFrame,
    pixels: Mapping[str, np.ndarray],
    count: int,
    generator: np.random.Generator,
) -> Image.Image | None:
    """Class activation maps of right and wrong predictions; None for networks without feature maps.

    Args:
        model: the network.
        selected: its predictions, as of :func:`mixvision.evaluation.mistakes.select_predictions`.
        pixels: per domain, uint8 (N, S, S, 3), indexed by ``pixel_row``.
        count: the maximum number of images shown.
        generator: chooses the images.
    """
    rows = hits_and_misses(selected, count, generator)
    shown = np.stack([pixels[row.domain][row.pixel_row] for row in rows.itertuples()])
    try:
        heatmaps = where_it_looks(model, shown, [str(name) for name in rows["prediction"]])
    except NoMapsError as error:
        log.warning("%s", error)
        return None
    return activation_sheet(rows, pixels, heatmaps)

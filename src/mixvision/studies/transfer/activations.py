"""Where in its pictures a trained network looks."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from mixvision.models.attention import NoMapsError, class_activations
from mixvision.models.trained import TrainedNetwork

log = logging.getLogger(__name__)


def look_for_predictions(
    model: TrainedNetwork, rows: pd.DataFrame, pixels: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """Class activation maps ``(rows, S, S)`` of what is predicted, or None for networks without feature maps."""
    images = np.stack([pixels[row.domain][row.pixel_row] for row in rows.itertuples()])
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    classes = torch.tensor([model.categories.index(str(name)) for name in rows["prediction"]])
    try:
        return class_activations(model.build(), images, classes).numpy()
    except NoMapsError as error:
        log.warning("%s", error)
        return None

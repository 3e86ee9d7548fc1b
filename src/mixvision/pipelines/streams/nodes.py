"""Online learning from two folders that grow: classify the new images, then train on them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.studies.streams import page as reporting
from mixvision.studies.streams.learning import learn_on
from mixvision.studies.streams.settings import OnlineLearning
from mixvision.studies.streams.state import State
from mixvision.training.config import Training
from mixvision.training.events import TrainingEvents


def learn(
    state_before: State | None,
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    learning: OnlineLearning,
    training: Training,
    checkpoints: Path,
    events: TrainingEvents,
) -> tuple[State, pd.DataFrame]:
    """One run: the state for the next run, and one row per run so far."""
    pixels = pixels_by_domain(nice_images, real_images)
    state = learn_on(state_before, manifest, pixels, learning, training, checkpoints, events)
    return state, state.arrivals


def report(arrivals: pd.DataFrame, title: str) -> tuple[go.Figure, str, str]:
    """The accuracies on each arrival as a figure, the summary, and the page."""
    figure = reporting.prequential_figure(arrivals)
    return figure, reporting.summary(title, arrivals), reporting.streams_page(title, arrivals, figure)

"""Online learning from two folders that grow: classify the new images, then train on them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.datasets.reports import ABSENT, Absent
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.reporting.contact_sheets import mistakes_sheet
from mixvision.schema.tables import MISTAKES
from mixvision.studies.streams import page as reporting
from mixvision.studies.streams.arrivals import last_mistakes
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


def draw_mistakes(
    state: State, manifest: pd.DataFrame, nice_images: ImageStore, real_images: ImageStore
) -> tuple[pd.DataFrame, Image.Image | Absent]:
    """The most confident mistakes on the last arrival that was classified, also as pictures; no picture without one."""
    mistakes = last_mistakes(state, manifest)
    if mistakes is None:
        return MISTAKES.empty(), ABSENT
    return mistakes, mistakes_sheet(mistakes, pixels_by_domain(nice_images, real_images))


def report(
    arrivals: pd.DataFrame, mistakes: Image.Image | None, learning: OnlineLearning, training: Training, title: str
) -> tuple[go.Figure | Absent, str, str]:
    """The accuracies on each arrival as a figure, if any was classified, the summary, and the page."""
    figure, settings = reporting.prequential_figure(arrivals), {**vars(training), **vars(learning)}
    page = reporting.streams_page(title, arrivals, figure, mistakes, settings)
    return figure or ABSENT, reporting.summary(title, arrivals), page

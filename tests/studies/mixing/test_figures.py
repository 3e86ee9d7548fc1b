"""The figures carry the numbers of the frames they are made of."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.io
import pytest

from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.evaluation.mistakes import category_accuracy, confusion_counts, select_predictions
from mixvision.reporting.style import COLOURS
from mixvision.studies.mixing.figures import (
    accuracy_against_ratio,
    category_accuracies,
    confusion_matrices,
    learning_curves,
    performance_against_ratio,
)


def make_summary(study) -> pd.DataFrame:
    return summarise(trial_metrics(join_predictions(study.predictions, study.manifest)), study.trials)


def named(figure) -> dict:
    return {trace.name: trace for trace in figure.data}


def test_accuracy_figure_shows_the_chosen_weights_in_the_domains_colours(study):
    summary = make_summary(study)
    traces = named(accuracy_against_ratio(summary, None, "best_test"))
    assert set(traces) == {"nice", "real"}
    rows = summary[(summary["snapshot"] == "best_test") & (summary["split"] == "test")]
    assert np.allclose(traces["real"].y, rows["real_top1"])
    assert traces["nice"].line.color == COLOURS["nice"]


def test_published_numbers_are_dashed(study, published):
    traces = named(accuracy_against_ratio(make_summary(study), published))
    assert traces["nice, published (best on test)"].line.dash == "dash"
    assert list(traces["nice, published (best on test)"].x) == [0, 60]
    assert "nice, ours" in traces, "a line of this run is told from them"
    top3 = named(performance_against_ratio(make_summary(study), published))["top-3, published (best on test)"]
    assert (list(top3.x), list(top3.y)) == ([60], [0.8])


def test_error_bars_appear_with_several_seeds_only(study, study_of_three_seeds):
    assert not named(accuracy_against_ratio(make_summary(study), None))["nice"].error_y.visible
    figure = accuracy_against_ratio(make_summary(study_of_three_seeds), None)
    assert named(figure)["nice"].error_y.visible
    assert "3 seeds" in figure.layout.title.subtitle.text


def test_learning_curves_have_a_panel_per_ratio_and_average_the_seeds(study_of_three_seeds):
    study = study_of_three_seeds
    figure = learning_curves(study.history, study.trials, "validation")
    assert [note.text for note in figure.layout.annotations] == [
        "0% real",
        "30% real",
        "60% real",
        "100% real",
    ]
    assert len(figure.data) == 4 * 3
    history = study.history.merge(study.trials, on="trial").query("split == 'validation' and ratio == 0")
    assert np.allclose(figure.data[0].y, history.groupby("iteration")["nice_top1"].mean())


def test_no_history_gives_an_empty_figure(study):
    assert not learning_curves(study.history.head(0), study.trials).data


def test_confusion_rows_add_up_to_one_and_empty_rows_to_zero():
    nice = pd.DataFrame([[3, 1], [0, 0]], index=["a", "b"], columns=["a", "b"])
    figure = confusion_matrices(nice, nice.T, "a model")
    assert figure.data[0].z.tolist() == [[0.75, 0.25], [0, 0]]
    assert figure.data[1].z.tolist() == [[1, 0], [1, 0]]


def test_category_figure_has_both_domains_with_their_intervals(study):
    joined = join_predictions(study.predictions, study.manifest)
    accuracies = category_accuracy(select_predictions(joined, ["ratio-060-seed-0"]))
    traces = named(category_accuracies(accuracies, "60% real"))
    real = accuracies[accuracies["domain"] == "real"]
    assert np.allclose(traces["real"].x, real["accuracy"])
    assert np.allclose(traces["real"].x - traces["real"].error_x.arrayminus, real["low"])


@pytest.fixture
def every_figure(study, published):
    joined = join_predictions(study.predictions, study.manifest)
    selected = select_predictions(joined, ["ratio-060-seed-0"])
    counts = [confusion_counts(selected, domain, ["Apple", "Banana"]) for domain in ("nice", "real")]
    return [
        accuracy_against_ratio(make_summary(study), published),
        performance_against_ratio(make_summary(study), published),
        learning_curves(study.history, study.trials),
        confusion_matrices(*counts, "60% real"),
        category_accuracies(category_accuracy(selected), "60% real"),
    ]


def test_every_figure_has_a_title_and_survives_json(every_figure):
    for figure in every_figure:
        assert figure.layout.title.text and figure.layout.title.subtitle.text
        text = figure.to_json()
        assert json.loads(plotly.io.from_json(text).to_json()) == json.loads(text)

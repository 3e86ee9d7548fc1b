"""The baselines' figures carry the numbers of the table and the history, and stay readable for one or many trials."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.io
import pytest

from mixvision.evaluation.classification import whole_confusion
from mixvision.evaluation.mistakes import select_predictions
from mixvision.reporting.charts import confusion_matrices
from mixvision.studies.baselines.figures import ablation, learning_curves, model_comparison
from mixvision.studies.baselines.tables import best_trial


def named(figure) -> dict:
    return {trace.name: trace for trace in figure.data}


def test_models_are_compared_by_their_own_trials_alone(baselines):
    figure = model_comparison(baselines.table)
    traces = named(figure)
    assert list(traces["test"].y) == ["random", "linear", "cnn", "basic_cnn", best_trial(baselines.table)]
    row = baselines.table.set_index("trial").loc["cnn"]
    assert traces["test"].x[2] == row["test_top1"] and traces["validation"].x[2] == row["validation_top1"]
    assert traces["test"].x[2] - traces["test"].error_x.arrayminus[2] == pytest.approx(row["test_low"])
    assert traces["test"].x[2] + traces["test"].error_x.array[2] == pytest.approx(row["test_high"])
    assert np.isnan(traces["test"].x[3]) and "basic_cnn" in figure.layout.yaxis.categoryarray
    assert (list(traces["published validation"].x), list(traces["published validation"].y)) == ([0.745], ["cnn"])


def test_models_that_cannot_be_told_from_the_best_have_rings_beside_its_interval_as_a_band(baselines):
    table = baselines.table.assign(is_beaten=~baselines.table["trial"].isin([best_trial(baselines.table), "linear"]))
    figure = model_comparison(table)
    best, rings = table.set_index("trial").loc[best_trial(table)], named(figure)["not told apart from the best"]
    assert set(rings.y) == {"linear", best.name}
    assert rings.offsetgroup == named(figure)["test"].offsetgroup, "around the test accuracy"
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (best["test_low"], best["test_high"])
    assert not model_comparison(table.drop(columns="is_beaten")).layout.shapes


def test_models_without_published_numbers_leave_no_trace_of_them(baselines):
    unpublished = baselines.table.assign(published_validation=np.nan)
    assert "published validation" not in named(model_comparison(unpublished))
    assert "published validation" not in named(ablation(unpublished, baselines.base, "cnn", "batch_size"))


def test_an_ablation_shows_one_setting_by_value_above_the_floors(baselines):
    figure = ablation(baselines.table, baselines.base, "cnn", "batch_size")
    traces, rows = named(figure), baselines.table.set_index("trial")
    cnns = rows.loc[["cnn", "cnn-batch-size-64"]]
    for split in ("validation", "test"):
        assert list(traces[split].x) == ["8", "64"]
        assert list(traces[split].y) == cnns[f"{split}_top1"].tolist()
    assert np.allclose(traces["test"].y + traces["test"].error_y.array, cnns["test_high"])
    assert traces["validation"].error_y.array is None
    assert list(traces["published validation"].y) == [0.745, 0.717]
    assert traces["published validation"].line.dash == "dash"
    assert [shape.y0 for shape in figure.layout.shapes] == [rows.loc["linear", "test_top1"]]
    assert [shape.name for shape in figure.layout.shapes] == [
        f"linear layer, test: {rows.loc['linear', 'test_top1']:.3f}"
    ]


def test_the_axis_begins_below_the_lowest_curve_and_names_guessing_if_it_is_lower(baselines):
    def drawn(guessing: float):
        table = baselines.table.copy()
        table.loc[table["trial"] == "random", "test_top1"] = guessing
        table.loc[table["trial"] == "linear", "test_top1"] = 0.3
        return ablation(table, baselines.base, "cnn", "batch_size")

    figure = drawn(0.123)
    assert 0.2 < figure.layout.yaxis.range[0] < 0.3  # the linear layer is the lowest
    rows = baselines.table.set_index("trial").loc[["cnn", "cnn-batch-size-64"]]
    assert rows["test_high"].max() < figure.layout.yaxis.range[1] <= 1.02
    assert "random guessing, 0.123, is below" in figure.layout.title.subtitle.text
    figure = drawn(0.35)
    assert [shape.y0 for shape in figure.layout.shapes] == [0.3, 0.35]
    assert "guessing" not in figure.layout.title.subtitle.text
    empty = baselines.table.iloc[:0]
    assert ablation(empty, baselines.base, "cnn", "batch_size").layout.yaxis.range == (0, 1)


def test_the_ablated_model_is_no_floor_to_itself(baselines):
    figure = ablation(baselines.table.query("model == 'linear'"), baselines.base, "linear", "batch_size")
    assert not figure.layout.shapes and len(named(figure)["test"].x) == 1


def test_only_numeric_settings_are_joined_by_lines(baselines):
    modes = {
        setting: {trace.mode for trace in ablation(baselines.table, baselines.base, "cnn", setting).data}
        for setting in ("batch_size", "learning_rate", "dropout", "augmentation")
    }
    lines, points = {"lines+markers"}, {"markers"}
    assert modes == {"batch_size": lines, "learning_rate": lines, "dropout": points, "augmentation": points}


def test_no_marker_hides_the_interval_of_another(baselines):
    figures = [model_comparison(baselines.table), ablation(baselines.table, baselines.base, "cnn", "dropout")]
    for figure, orientation, bars in zip(figures, ("h", None), ("error_x", "error_y"), strict=True):
        assert figure.layout.scattermode == "group"
        assert {trace.orientation for trace in figure.data} == {orientation}
        assert [trace.name for trace in figure.data if trace[bars].array is not None] == ["test"]


def test_augmentations_stand_in_their_order_and_missing_floors_are_left_out(baselines):
    table = baselines.table[baselines.table["model"] == "cnn"]
    figure = ablation(table, baselines.base, "cnn", "augmentation")
    assert list(named(figure)["test"].x) == ["none", "on the fly", "expand"]
    assert not figure.layout.shapes


def test_every_trained_trial_has_a_panel_with_both_curves_and_its_best_epoch(baselines):
    figure = learning_curves(baselines.history, baselines.outcomes, baselines.trials)
    titles = [note.text for note in figure.layout.annotations]
    leaky = baselines.trials.loc[~baselines.trials["split_first"], "trial"].tolist()
    assert titles == [*baselines.trials["trial"].iloc[1:-2], "cnn-leaky-split*", "cnn-leaky-split-as-many-photos*"]
    training, validation, best = figure.data[3:6]
    rows = baselines.history[baselines.history["trial"] == "cnn"]
    for trace, split in ((training, "train"), (validation, "validation")):
        expected = rows[rows["split"] == split]
        assert list(trace.x) == list(range(1, 8)) and list(trace.y) == expected["top1"].tolist()
        assert list(trace.customdata) == expected["cross_entropy"].tolist()
    assert (list(best.x), list(best.y)) == ([4], [validation.y[3]])
    assert [trace.name for trace in figure.data if trace.showlegend] == ["training", "validation", "best epoch"]
    assert [title[:-1] for title in titles if title.endswith("*")] == leaky


def test_a_trial_that_failed_has_no_best_epoch(baselines):
    trials = baselines.trials[baselines.trials["trial"] == "basic_cnn"]
    figure = learning_curves(baselines.history, baselines.outcomes, trials)
    training, _, best = figure.data
    assert list(training.x) == [1] and len(best.x) == 0
    assert "leaky" not in figure.layout.title.subtitle.text


@pytest.mark.parametrize("count", [0, 1, 5, 16])
def test_panels_fill_rows_of_four_and_the_lowest_of_each_column_has_its_epochs(baselines, count):
    trials = pd.DataFrame({"trial": [f"trial-{place}" for place in range(count)], "split_first": True})
    one = baselines.history[baselines.history["trial"] == "cnn"]
    history = pd.concat([one.head(0), *(one.assign(trial=trial) for trial in trials["trial"])])
    figure = learning_curves(history, trials.assign(best_epoch=4), trials)
    assert len(figure.data) == 3 * count
    axes = [figure.layout[f"xaxis{place or ''}"] for place in ["", *range(2, count + 1)]][:count]
    labelled = [place for place, axis in enumerate(axes) if axis.showticklabels]
    assert labelled == list(range(max(0, count - 4), count))
    assert figure.layout.height == 190 + 190 * max(1, -(-count // 4))


def test_confusion_rows_of_all_images_add_up_to_one(baselines_of_two_domains):
    study = baselines_of_two_domains
    counts = whole_confusion(select_predictions(study.joined, ["cnn"]), sorted(study.manifest["category"].unique()))
    figure = confusion_matrices({"cnn": counts, "other": counts.T}, "cnn")
    assert [note.text for note in figure.layout.annotations] == ["cnn", "other"]
    assert np.allclose(figure.data[0].z.sum(axis=1), 1)
    accuracy = study.table.set_index("trial").loc["cnn", "test_top1"]
    assert np.trace(figure.data[0].z) / 5 == pytest.approx(accuracy)  # all categories have equally many images


@pytest.mark.parametrize("categories", [3, 10, 12])
@pytest.mark.parametrize("models", range(1, 7))
def test_confusion_matrices_fit_into_the_page(models, categories):
    names = [f"category {number}" for number in range(categories)]
    counts = pd.DataFrame(np.eye(categories, dtype=int), index=names, columns=names)
    figure = confusion_matrices({f"cnn-{number}": counts for number in range(models)}, "cnn-0")
    assert len(figure.data) == models
    assert figure.layout.width <= 1110 and 350 < figure.layout.height < 700
    cell = (figure.layout.width - 250) / models / categories
    assert (figure.data[0].texttemplate is not None) == (cell >= 24)  # no numbers that nobody can read


def test_with_many_categories_only_the_best_models_matrix_is_drawn():
    names = [f"breed {number:03d}" for number in range(120)]
    counts = pd.DataFrame(np.eye(120, dtype=int), index=names, columns=names)
    figure = confusion_matrices({"cnn": counts, "mlp": counts}, "mlp")
    assert [note.text for note in figure.layout.annotations] == ["mlp"]


def test_every_figure_has_a_title_and_survives_json(baselines):
    counts = pd.DataFrame([[3, 1], [0, 0]], index=["a", "b"], columns=["a", "b"])
    figures = [
        model_comparison(baselines.table),
        ablation(baselines.table, baselines.base, "cnn", "dropout"),
        learning_curves(baselines.history, baselines.outcomes, baselines.trials),
        confusion_matrices({"cnn": counts}, "cnn"),
    ]
    for figure in figures:
        assert figure.layout.title.text and figure.layout.title.subtitle.text
        text = figure.to_json()
        assert json.loads(plotly.io.from_json(text).to_json()) == json.loads(text)

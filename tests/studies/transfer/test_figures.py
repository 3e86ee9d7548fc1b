"""Transfer learning's figures carry the numbers of the tables, and stay readable for many trials and categories."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.io
import pytest

from mixvision.evaluation.calibration import reliability
from mixvision.evaluation.classification import whole_confusion
from mixvision.evaluation.metrics import join_predictions
from mixvision.evaluation.mistakes import select_predictions
from mixvision.evaluation.selection import best_model
from mixvision.studies.transfer.close_ups import (
    LARGEST_LEGEND,
    confusion_matrices,
    embedding_map,
    reliability_diagram,
)
from mixvision.studies.transfer.figures import (
    METHOD_COLOURS,
    accuracy_by_input_size,
    frozen_ratios,
    learning_curves,
    loss_across_switch,
    model_comparison,
)


def test_every_model_has_both_accuracies_in_its_methods_colour(transfer):
    figure, rows = model_comparison(transfer.table), transfer.table.set_index("trial")
    assert list(figure.layout.yaxis.categoryarray) == list(transfer.table["trial"])
    shown = {"validation": {}, "test": {}}
    for trace in (trace for trace in figure.data if trace.legendgroup):  # rings have none
        assert trace.marker.color == METHOD_COLOURS[trace.name]
        shown[trace.offsetgroup] |= dict(zip(trace.y, trace.x, strict=True))
        if trace.offsetgroup == "test":
            assert np.allclose(trace.x + trace.error_x.array, rows.loc[trace.y, "test_high"], equal_nan=True)
            assert np.allclose(trace.x - trace.error_x.arrayminus, rows.loc[trace.y, "test_low"], equal_nan=True)
    for split, accuracies in shown.items():
        expected = rows[f"{split}_top1"]
        assert np.allclose([accuracies[name] for name in expected.index], expected, equal_nan=True)
    legend = [trace.name for trace in figure.data if trace.showlegend]
    assert legend == list(dict.fromkeys(transfer.table["method"]))


def test_the_accuracy_axis_begins_below_the_lowest_bound(transfer):
    lowest = transfer.table[["test_low", "validation_top1"]].min(axis=None)
    low, high = model_comparison(transfer.table).layout.xaxis.range
    assert lowest - 0.1 < low < lowest and 1 < high < 1.1
    empty = transfer.table.query("status == 'failed'")
    assert model_comparison(empty).layout.xaxis.range[0] <= 0


def test_the_curve_goes_on_across_the_switch_and_says_what_is_trained(transfer):
    figure = learning_curves(transfer.history, transfer.outcomes, transfer.trials)
    trained = ["linear-32", "linear-64", "dense-64", "dropout-64", "fine-tuned-64"]
    notes = [note.text for note in figure.layout.annotations]
    assert notes == [*trained, "last 3 blocks", "all"]
    training, validation, best = figure.data[-3:]
    rows = transfer.history[transfer.history["trial"] == "fine-tuned-64"]
    for trace, split in ((training, "train"), (validation, "validation")):
        expected = rows[rows["split"] == split]
        assert list(trace.x) == list(range(1, 15)) and list(trace.y) == expected["top1"].tolist()
    assert [row[0] for row in training.customdata] == ["head"] * 6 + ["last 3 blocks"] * 4 + ["all"] * 4
    assert list(best.x) == [13] and best.marker.symbol == "star"
    assert [shape.x0 for shape in figure.layout.shapes] == [6.5, 10.5]
    assert {shape.xref for shape in figure.layout.shapes} == {training.xaxis}
    assert len(figure.data) == 3 * len(trained)


def test_a_line_is_drawn_wherever_the_phase_changes(transfer):
    """Also where one comes a second time."""
    history = transfer.history.assign(phase=transfer.history["phase"].where(transfer.history["epoch"] < 11, "head"))
    figure = learning_curves(history, transfer.outcomes, transfer.trials)
    assert [shape.x0 for shape in figure.layout.shapes] == [6.5, 10.5]
    assert [note.text for note in figure.layout.annotations][-2:] == ["last 3 blocks", "head"]


def test_the_loss_is_drawn_across_the_switch_of_fine_tuned_trials(transfer):
    history = transfer.history.copy()
    history.loc[(history["epoch"] == 7) & (history["split"] == "validation"), "cross_entropy"] = 5.0
    figure = loss_across_switch(history, transfer.outcomes, transfer.trials)
    assert [note.text for note in figure.layout.annotations] == ["fine-tuned-64", "last 3 blocks", "all"]
    rows = history[history["trial"] == "fine-tuned-64"]
    for trace, split in zip(figure.data, ("train", "validation"), strict=False):
        assert list(trace.y) == rows.loc[rows["split"] == split, "cross_entropy"].tolist()
    assert figure.layout.yaxis.range[0] == 0 and 5 < figure.layout.yaxis.range[1] < 6
    assert figure.layout.yaxis.title.text == "cross-entropy"
    longer = pd.concat([history, history.head(1).assign(epoch=99)])  # of a head
    assert loss_across_switch(longer, transfer.outcomes, transfer.trials).layout.xaxis.range[1] < 15
    heads = transfer.trials[transfer.trials["method"] != "fine-tuned"]
    assert not loss_across_switch(history, transfer.outcomes, heads).data


def test_an_independent_test_set_has_points_and_bars_of_its_own(transfer_with_independent_test):
    table = transfer_with_independent_test.table
    rows = table.set_index("trial")
    traces = [trace for trace in model_comparison(table).data if trace.offsetgroup == "independent"]
    assert {trace.marker.symbol for trace in traces} == {"square"}
    shown = {name: value for trace in traces for name, value in zip(trace.y, trace.x, strict=True)}
    assert np.allclose([shown[name] for name in rows.index], rows["independent_top1"], equal_nan=True)
    for trace in traces:
        assert np.allclose(trace.x - trace.error_x.arrayminus, rows.loc[trace.y, "independent_low"], equal_nan=True)
    traces = accuracy_by_input_size(table).data
    assert [trace.line.dash for trace in traces] == ["dot", "solid", "dash"]
    assert list(traces[2].y) == rows.loc[["linear-32", "linear-64"], "independent_top1"].tolist()


def test_trials_without_epochs_have_no_panel_and_none_at_all_is_fine(transfer):
    figure = learning_curves(transfer.history.head(0), transfer.outcomes, transfer.trials)
    assert not figure.data and not figure.layout.annotations


def test_long_names_are_written_small_enough_for_their_panel(transfer):
    names = {name: f"tf_efficientnet_lite0-{name}" for name in transfer.trials["trial"]}
    renamed = [
        frame.assign(trial=frame["trial"].map(names))
        for frame in (transfer.history, transfer.outcomes, transfer.trials)
    ]
    small, large = (
        learning_curves(*frames).layout.annotations[0].font.size
        for frames in (renamed, (transfer.history, transfer.outcomes, transfer.trials))
    )
    longest = max(len(name) for name in names.values() if "as-is" not in name)
    assert small * 0.58 * longest <= 240 < large * 0.58 * longest


def test_sizes_are_joined_for_those_that_have_several(transfer):
    table = transfer.table
    figure = accuracy_by_input_size(table)
    assert [trace.name for trace in figure.data] == ["linear", "linear"]
    validated, tested = figure.data
    rows = table.set_index("trial").loc[["linear-32", "linear-64"]]
    assert list(tested.x) == [32, 64] and list(tested.y) == rows["test_top1"].tolist()
    assert list(validated.y) == rows["validation_top1"].tolist() and validated.line.dash == "dot"
    assert tested.y[0] + tested.error_y.array[0] == pytest.approx(rows["test_high"].iloc[0])
    assert list(figure.layout.xaxis.tickvals) == [32, 64]
    both = pd.concat([table.assign(backbone="resnet50"), table], ignore_index=True)
    names = {trace.name for trace in accuracy_by_input_size(both).data}
    assert names == {"resnet50, linear", "efficientnet_lite0, linear"}


def test_ratios_stand_beside_networks_trained_from_scratch(transfer, published):
    traces = {trace.name: trace for trace in frozen_ratios(transfer.ratios, published).data}
    for name in ("nice", "real", "performance"):
        trace = traces.pop(f"{name}, frozen features")
        assert list(trace.x) == [0, 30, 60, 100]
        assert list(trace.y) == transfer.ratios[f"{name}_top1"].tolist()
    assert list(traces["its 95% interval"].y[4:]) == transfer.ratios["low"].tolist()[::-1]
    tied = transfer.ratios[~transfer.ratios["is_beaten"]]
    assert list(traces["not told apart from the best"].x) == tied["ratio"].tolist() and len(tied) < 4
    assert list(traces["performance, published, trained from scratch"].y) == [0.4681, 0.6483]
    assert len(frozen_ratios(transfer.ratios, None).data) == 5


def test_models_that_cannot_be_told_from_the_best_have_rings_beside_its_interval_as_a_band(transfer):
    figure, best = model_comparison(transfer.table), best_model(transfer.table)
    (rings,) = (trace for trace in figure.data if trace.name == "not told apart from the best")
    assert list(rings.y) == transfer.table.loc[transfer.table["is_beaten"].eq(False), "trial"].tolist()
    assert best in rings.y and "linear-32" not in rings.y and "dropout-64" not in rings.y
    row = transfer.table.set_index("trial").loc[best]
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (row["test_low"], row["test_high"])


def test_confusions_are_of_the_best_model_and_the_best_of_other_methods(transfer):
    figure = confusion_matrices(transfer.joined, transfer.table)
    names = [note.text for note in figure.layout.annotations]
    honest = transfer.table.query("method != 'as is'").dropna(subset="validation_top1")
    expected = honest.sort_values("validation_top1", ascending=False, kind="stable").drop_duplicates("method")
    assert names == expected["trial"].head(3).tolist()
    counts = whole_confusion(select_predictions(transfer.joined, [names[0]]), sorted(set(transfer.joined["category"])))
    assert np.array_equal(figure.data[0].customdata, counts)
    assert figure.layout.yaxis.dtick == 1


def make_many(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Joined predictions of one model for two images of each of many categories, and its row in the table."""
    categories = [f"category {place:03d}" for place in range(count)]
    manifest = pd.DataFrame({"id": [f"image-{place}" for place in range(2 * count)], "category": 2 * categories})
    manifest = manifest.assign(domain="real", split="test", leaks=False, component=manifest.index, pixel_row=0)
    said = pd.DataFrame({"id": manifest["id"], "prediction_1": manifest["category"], "probability_1": 0.9})
    joined = join_predictions(said.assign(trial="linear", snapshot="best_validation"), manifest)
    table = pd.DataFrame({"trial": ["linear"], "method": ["head"], "validation_top1": [1.0], "ece": [0.1]})
    return joined, table


@pytest.mark.parametrize(("count", "step"), [(26, 1), (120, 3)])
def test_names_next_to_a_large_matrix_do_not_overlap(count, step):
    figure = confusion_matrices(*make_many(count))
    assert figure.layout.xaxis.dtick == figure.layout.yaxis.dtick == step
    assert (figure.layout.height - 250) / count * step >= 16


def test_reliability_is_that_of_the_best_of_each_method(transfer):
    figure = reliability_diagram(transfer.joined, transfer.table)
    errors = transfer.table.set_index("trial")["ece"]
    traces = {trace.name: trace for trace in figure.data[1:]}
    assert f"linear-64, ECE {errors['linear-64']:.3f}" in traces and len(traces) == 7
    expected = reliability(select_predictions(transfer.joined, ["linear-64"])).query("images > 0")
    trace = traces[f"linear-64, ECE {errors['linear-64']:.3f}"]
    assert np.allclose(trace.x, expected["confidence"]) and np.allclose(trace.y, expected["accuracy"])
    assert np.argmax(trace.marker.size) == np.argmax(expected["images"])
    assert figure.data[0].line.dash == "dot" and list(figure.data[0].x) == list(figure.data[0].y) == [0, 1]


def make_points(categories: int, domains: tuple[str, ...] = ("nice", "real")) -> pd.DataFrame:
    rows = [(f"{domain}/{n}", n, -n, f"category {n:03d}", domain) for n in range(categories) for domain in domains]
    return pd.DataFrame(rows, columns=["id", "x", "y", "category", "domain"]).assign(split="test")


def test_the_map_tells_categories_by_colour_and_domains_by_symbol():
    figure = embedding_map(make_points(5), "ResNet-50, t-SNE")
    assert [trace.name for trace in figure.data] == [f"category {n:03d}" for n in range(5)]
    assert len({trace.marker.color for trace in figure.data}) == 5
    assert list(figure.data[3].x) == [3, 3] and list(figure.data[3].y) == [-3, -3]
    assert list(figure.data[3].marker.symbol) == ["circle", "diamond"]
    assert figure.data[3].customdata.tolist() == [["nice/3", "test"], ["real/3", "test"]]
    assert figure.layout.title.subtitle.text == "ResNet-50, t-SNE; circles: nice; diamonds: real"


def test_many_categories_are_named_on_hover_only():
    figure = embedding_map(make_points(LARGEST_LEGEND + 1, ("real",)), "ResNet-50, t-SNE")
    assert not any(trace.showlegend for trace in figure.data)
    assert figure.layout.title.subtitle.text == "ResNet-50, t-SNE; 41 categories, named on hover"
    named = embedding_map(make_points(LARGEST_LEGEND, ("real",)), "ResNet-50, t-SNE")
    assert all(trace.showlegend for trace in named.data)
    assert named.layout.height >= 20 * LARGEST_LEGEND
    assert len({trace.marker.color for trace in named.data}) == LARGEST_LEGEND


def test_figures_are_valid_and_the_same_each_time(transfer):
    def drawn() -> list[str]:
        figures = [
            model_comparison(transfer.table),
            learning_curves(transfer.history, transfer.outcomes, transfer.trials),
            loss_across_switch(transfer.history, transfer.outcomes, transfer.trials),
            accuracy_by_input_size(transfer.table),
            frozen_ratios(transfer.ratios, None),
            confusion_matrices(transfer.joined, transfer.table),
            reliability_diagram(transfer.joined, transfer.table),
            embedding_map(make_points(3), "ResNet-50"),
        ]
        return [plotly.io.to_json(figure, validate=True) for figure in figures]

    first = drawn()
    assert first == drawn()
    assert all(json.loads(text)["layout"]["title"]["subtitle"]["text"] for text in first)

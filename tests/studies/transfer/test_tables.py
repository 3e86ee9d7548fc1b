"""Tables of transfer learning carry the numbers of metrics, history and outcomes, sums for ensembles, and dashes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from page_reader import read_markdown

from mixvision.evaluation.calibration import expected_calibration_error
from mixvision.evaluation.classification import accuracies
from mixvision.evaluation.mistakes import select_predictions
from mixvision.evaluation.selection import best_model
from mixvision.reporting.formatting import DASH
from mixvision.studies.transfer.notes import QUESTION
from mixvision.studies.transfer.report_settings import TransferReport
from mixvision.studies.transfer.tables import (
    PRETRAINED_ON,
    answer,
    as_is_table,
    best_of_methods,
    calibration_table,
    comparison_table,
    ensemble_table,
    summary_text,
    transfer_table,
)

DERIVED = ["linear-64+views", "mean-of-3", "stacked-3"]


@pytest.fixture
def rows(transfer) -> pd.DataFrame:
    return transfer.table.set_index("trial")


def test_trials_come_first_then_what_is_derived_from_them(transfer):
    assert list(transfer.table["trial"]) == [*transfer.trials["trial"], *DERIVED]
    assert list(transfer.table["method"][-3:]) == ["views", "ensemble, mean", "ensemble, stacked"]


def test_accuracies_are_those_of_their_weights_and_split(transfer, rows):
    measured = accuracies(transfer.joined).set_index(["trial", "snapshot", "split"])
    for trial in ("linear-64", "fine-tuned-64", "linear-64+views"):
        row = rows.loc[trial]
        tested = measured.loc[(trial, "best_validation", "test")]
        assert (row["test_top1"], row["test_top2"]) == (tested["top1"], tested["top2"])
        assert row["test_low"] <= row["test_top1"] <= row["test_high"]
        assert (row["nice_test_top1"], row["real_test_top1"]) == (tested["nice_top1"], tested["real_top1"])
        assert row["validation_top1"] == measured.loc[(trial, "best_validation", "validation"), "top1"]
        assert row["last_test_top1"] == measured.loc[(trial, "last", "test"), "top1"]
        assert row["last_validation_top1"] == measured.loc[(trial, "last", "validation"), "top1"]
    assert np.isnan(rows.loc["as-is", "last_test_top1"]) and np.isnan(rows.loc["stacked-3", "last_test_top1"])


def test_the_training_accuracy_is_that_of_the_best_epoch(transfer, rows):
    history = transfer.history
    best = (history["trial"] == "fine-tuned-64") & (history["epoch"] == 13) & (history["split"] == "train")
    assert rows.loc["fine-tuned-64", "train_top1"] == history.loc[best, "top1"].item()
    assert rows.loc[["as-is", *DERIVED], "train_top1"].isna().all()


def test_costs_come_from_the_outcomes_and_the_pace_from_the_backbone(rows):
    row = rows.loc["linear-32"]
    assert (row["parameters"], row["trained_parameters"], row["seconds"]) == (3_006_405, 6_405, 15.0)
    assert row["megabytes"] == pytest.approx(12.02562)
    assert (row["images_per_second"], rows.loc["linear-64", "images_per_second"]) == (400, 100)
    assert (row["status"], rows.loc["dropout-64", "status"]) == ("finished", "failed")


def test_views_cost_time_and_ensembles_cost_what_their_members_do(rows):
    views, ensemble = rows.loc["linear-64+views"], rows.loc["mean-of-3"]
    assert views["images_per_second"] == pytest.approx(50) and views["parameters"] == 3_006_405
    assert (views["backbone"], views["input_size"], views["head"]) == ("efficientnet_lite0", 64, "linear")
    members = ensemble["members"].split(" + ")
    assert "linear-64+views" in members and len(members) == 3
    for cost in ("parameters", "trained_parameters", "seconds", "megabytes"):
        assert ensemble[cost] == pytest.approx(rows.loc[members, cost].sum())
    assert ensemble["images_per_second"] == pytest.approx(1 / (1 / rows.loc[members, "images_per_second"]).sum())
    assert (ensemble["backbone"], ensemble["status"]) == ("", "finished") and np.isnan(ensemble["input_size"])


def test_the_calibration_error_is_that_on_test_images(transfer, rows):
    selected = select_predictions(transfer.joined, ["dense-64"])
    assert rows.loc["dense-64", "ece"] == pytest.approx(expected_calibration_error(selected))


def test_only_as_is_can_be_outside_the_study(transfer, rows):
    selected = select_predictions(transfer.joined, ["as-is"])
    expected = selected["prediction_1"].isin(["tabby", "teapot"]).mean()
    assert rows.loc["as-is", "outside"] == pytest.approx(expected) and expected > 0
    assert rows.drop("as-is")["outside"].isna().all()


def test_an_independent_test_set_is_measured_apart(transfer_with_independent_test):
    study = transfer_with_independent_test
    table, rows = study.table, study.table.set_index("trial")
    names = {"test": "nice", "independent": "real"}
    for split, domain in names.items():
        for trial in ("linear-64", "fine-tuned-64", "mean-of-3"):
            selected = select_predictions(study.joined[study.joined["domain"] == domain], [trial], split=split)
            assert len(selected) == (40 if split == "test" else 100)
            assert rows.loc[trial, f"{split}_top1"] == selected["top1"].mean()
            assert rows.loc[trial, f"{split}_top2"] == selected["top2"].mean()
            assert (
                rows.loc[trial, f"{split}_low"] <= rows.loc[trial, f"{split}_top1"] <= rows.loc[trial, f"{split}_high"]
            )
            suffix = "" if split == "test" else "_independent"
            assert rows.loc[trial, f"ece{suffix}"] == pytest.approx(expected_calibration_error(selected))
        last = select_predictions(study.joined, ["linear-64"], "last", split)
        assert rows.loc["linear-64", f"last_{split}_top1"] == last["top1"].mean()
    named = select_predictions(study.joined, ["as-is"], split="independent")["prediction_1"]
    assert rows.loc["as-is", "outside_independent"] == pytest.approx(named.isin(["tabby", "teapot"]).mean())
    assert "nice_test_top1" not in table
    row, shown = rows.loc["linear-64"], comparison_table(table).set_index("model").loc["linear-64"]
    assert shown["independent"] == f"{row['independent_top1']:.3f}"
    assert shown["independent, 95% interval"] == f"{row['independent_low']:.3f} to {row['independent_high']:.3f}"
    assert shown["independent, top 2"] == f"{row['independent_top2']:.3f}"
    assert shown["last epoch (independent)"] == f"{row['last_independent_top1']:.3f}"
    derived = ensemble_table(table).set_index("model").loc["linear-64+views"]
    assert derived["its independent"] == f"{row['independent_top1']:.3f}"
    assert derived["independent"] == f"{rows.loc['linear-64+views', 'independent_top1']:.3f}"
    outside = as_is_table(table.assign(outside_independent=0.123)).set_index("model")  # the two shares are equal here
    assert outside.loc["as-is", "none of the categories, independent"] == "12.3%"
    calibrated = calibration_table(table).set_index("model")
    for heading, column in {"independent": "independent_top1", "ECE, independent": "ece_independent"}.items():
        assert calibrated[heading].to_dict() == rows.loc[calibrated.index, column].to_dict()
    best = rows.loc[best_model(table)]
    assert f", and of {best['independent_top1']:.3f} (" in answer(table)
    assert f"linear-64 {rows.loc['linear-64', 'test_top1']:.3f} (independent " in answer(table)


def test_without_an_independent_test_set_it_has_no_columns(transfer):
    assert not [column for column in transfer.table if "independent" in column]


def test_a_failed_trial_keeps_its_row_without_accuracies(rows):
    numbers = ["validation_top1", "test_top1", "test_low", "last_test_top1", "ece"]
    assert rows.loc["dropout-64", numbers].isna().all()
    assert rows.loc["dropout-64", "reason"] == "its loss was not a number."


def test_one_domain_has_no_columns_by_domain(transfer):
    joined = transfer.joined[transfer.joined["domain"] == "real"]
    bounds = pd.DataFrame(columns=["trial", "low", "high"])
    table = transfer_table(
        transfer.trials,
        transfer.members,
        accuracies(joined),
        {"test": bounds},
        transfer.history,
        transfer.outcomes,
        transfer.backbones,
        joined,
    )
    assert "real_test_top1" not in table and "real, test" not in comparison_table(table)
    assert table["test_low"].isna().all()


def test_a_table_without_derived_models(transfer):
    members = transfer.members.head(0)
    joined = transfer.joined[~transfer.joined["trial"].isin(DERIVED)]
    bounds = pd.DataFrame(columns=["trial", "low", "high"])
    others = (transfer.history, transfer.outcomes, transfer.backbones, joined)
    table = transfer_table(transfer.trials, members, accuracies(joined), {"test": bounds}, *others)
    assert list(table["trial"]) == list(transfer.trials["trial"]) and (table["members"] == "").all()
    assert ensemble_table(table).empty


def test_the_comparison_shows_sizes_where_they_differ_and_dashes_where_nothing_is(transfer):
    shown = comparison_table(transfer.table).set_index("model")
    assert list(shown["input size"].iloc[[0, 2, -1]]) == ["64", "32", DASH] and "backbone" not in shown
    assert shown.loc["dropout-64", ["validation", "test", "95% interval", "best epoch"]].to_list() == [
        DASH,
        DASH,
        DASH,
        "failed",
    ]
    assert shown.loc["as-is", ["train", "training time", "best epoch", "trained"]].to_list() == [DASH, DASH, DASH, "0"]
    row = shown.loc["fine-tuned-64"]
    assert (row["parameters"], row["training time"], row["images/s"]) == ("3,006,405", "35 s", "100")
    assert (row["MB"], row["best epoch"]) == ("12.0", "13")
    other = transfer.table["trial"].eq("dense-64")
    several = transfer.table.assign(backbone=transfer.table["backbone"].mask(other, "resnet50"), input_size=64)
    shown = comparison_table(several).set_index("model")
    assert shown.loc["dense-64", "backbone"] == "resnet50" and "input size" not in shown


def test_the_best_model_is_picked_on_validation_images(transfer):
    table = transfer.table.copy()
    table.loc[table["trial"] == "linear-32", ["validation_top1", "test_top1"]] = [1.1, 0.0]
    assert best_model(table) == "linear-32"
    with pytest.raises(ValueError, match="all trainings failed, or no image is kept"):
        best_model(table.assign(validation_top1=np.nan))


def test_each_method_has_its_best_in_the_order_of_the_table(transfer):
    expected = ["as-is", "as-is-restricted", "linear-64", "fine-tuned-64", *DERIVED]
    assert best_of_methods(transfer.table) == expected
    assert best_of_methods(transfer.table, without=["as is", "views"]) == [
        name for name in expected if name not in ("as-is", "linear-64+views")
    ]


def test_the_answer_is_computed_from_the_table(transfer):
    table = transfer.table.query("method in ['head', 'fine-tuned']").copy()
    table.loc[table["trial"] == "fine-tuned-64", ["test_top1", "test_low", "test_high"]] = [0.9124, 0.85, 0.95]
    table.loc[table["trial"] == "linear-64", "test_top1"] = 0.7
    sentence = (
        "Best on the validation images: fine-tuned-64, with a test accuracy of 0.912 (95% interval 0.850 to 0.950)"
    )
    compared = "For comparison, the best of the other methods: linear-64 0.700."
    table["is_beaten"] = ~table["trial"].isin(["fine-tuned-64", "dense-64"])
    assert answer(table) == f"{sentence}. These test images cannot tell it from dense-64. {compared}"
    assert answer(table[table["method"] == "fine-tuned"]) == f"{sentence}."


def test_the_summary_holds_the_comparison_the_answer_and_further_sentences(transfer):
    text = summary_text("Three berries", transfer.table, ["The best ratio does not move."])
    assert text.startswith(f"# Three berries: transfer learning\n\n{QUESTION}\n\n|")
    shown = read_markdown(text)
    assert shown["model"].tolist() == transfer.table["trial"].tolist()
    accuracies = transfer.table["test_top1"]
    assert shown["test"].tolist() == [DASH if np.isnan(value) else f"{value:.3f}" for value in accuracies]
    assert text.endswith(f"{answer(transfer.table)}\n\n{PRETRAINED_ON}\n\nThe best ratio does not move.\n")
    other_categories = transfer.table[~transfer.table["method"].str.startswith("as is")]
    assert PRETRAINED_ON not in summary_text("Three berries", other_categories)


def test_ensembles_stand_beside_their_best_member(transfer, rows):
    shown = ensemble_table(transfer.table).set_index("model")
    assert list(shown.index) == DERIVED
    best = rows.loc[rows.loc["stacked-3", "members"].split(" + "), "validation_top1"].idxmax()
    assert shown.loc["stacked-3", "best member"] == f"{rows.loc[best, 'validation_top1']:.3f}"
    assert shown.loc["stacked-3", "its test"] == f"{rows.loc[best, 'test_top1']:.3f}"
    assert shown.loc["linear-64+views", "its test"] == f"{rows.loc['linear-64', 'test_top1']:.3f}"


def test_as_is_and_calibration_have_tables_of_their_own(transfer, rows):
    shown = as_is_table(transfer.table).set_index("model")
    assert list(shown.index) == ["as-is", "as-is-restricted"]
    assert shown["none of the categories"].to_list() == [f"{rows.loc['as-is', 'outside']:.1%}", DASH]
    calibrated = calibration_table(transfer.table).set_index("model")
    assert calibrated["ECE"].to_dict() == rows.loc[calibrated.index, "ece"].to_dict()
    assert list(calibrated.index) == best_of_methods(transfer.table)


def test_report_parameters_take_what_yaml_gives_them():
    assert TransferReport(tops=[1, 2]).tops == (1, 2)
    assert TransferReport(tops=(1,)).tops == (1,)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tops": [5]}, r"tops is \[5\]; give 1 followed"),
        ({"tops": [1, 6]}, r"tops is \[1, 6\]; .* up to 5"),
        ({"tops": [1, 3, 2]}, r"tops is \[1, 3, 2\]; .* increasing"),
        ({"tops": [1, 2.0]}, r"tops is \[1, 2.0\]; .* whole numbers"),
        ({"tops": 5}, "tops is 5; give a list"),
        ({"mistakes_shown": 0}, "mistakes_shown is 0; .* 1 or more"),
        ({"activations_shown": 2.5}, "activations_shown is 2.5; .* whole number"),
        ({"embedded_images": True}, "embedded_images is True; .* whole number"),
        ({"seed": -1}, "seed of the report is -1; .* 0 or more"),
    ],
)
def test_invalid_report_parameters_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        TransferReport(**change)

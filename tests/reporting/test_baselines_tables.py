"""The baselines' tables hold the right trial's numbers, with published ones, failures, two domains and the leak."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.classification import accuracies, accuracy_intervals
from mixvision.evaluation.metrics import join_predictions
from mixvision.reporting.baselines_tables import (
    FLOORS,
    ablated_settings,
    ablation_rows,
    ablation_table,
    comparison_table,
    leak_sentence,
    leak_table,
    setting_text,
    summary_text,
    training_time,
    trial_table,
)
from mixvision.reporting.tables import DASH

BASE = {"learning_rate": 1e-4, "batch_size": 8, "dropout": True, "augmentation": "on the fly"}
PUBLISHED = {
    "source": "Table 1 of a study",
    "rows": [
        {"model": "mlp", "validation": 0.516},
        {"model": "cnn", "train": 0.921, "validation": 0.745},
        {"model": "cnn", "batch_size": 64, "train": 0.851},
        {"model": "cnn", "learning_rate": "1e-3", "validation": 0.7},
        {"model": "cnn", "augmentation": "expand", "validation": 0.8},
        {"model": "vgg", "validation": 0.99},
    ],
}


def make_trials() -> pd.DataFrame:
    """Three models, and the CNN with one setting changed at a time, in no order; the last one leaks."""
    changes = {
        "random": {},
        "mlp": {},
        "cnn": {},
        "cnn-batch-size-64": {"batch_size": 64},
        "cnn-batch-size-4": {"batch_size": 4},
        "cnn-learning-rate-0.001": {"learning_rate": 1e-3},
        "cnn-augmentation-expand": {"augmentation": "expand"},
        "cnn-augmentation-none": {"augmentation": "none"},
        "cnn-leaky-split": {"augmentation": "expand", "split_first": False},
    }
    rows = [
        {"trial": trial, "model": trial.split("-")[0], "seed": 0, **BASE, "split_first": True, **changed}
        for trial, changed in changes.items()
    ]
    return pd.DataFrame(rows)


def make_metrics(trials: pd.DataFrame) -> pd.DataFrame:
    """Accuracies that tell where they are from: the trial's place in hundredths; .5 in validation, .3 in the test."""
    rows = [
        (trial.trial, weights, split, 100, accuracy + trial.Index / 100 - (weights == "last") / 10, 1.0)
        for trial in trials.itertuples()
        for weights in ("best_validation", "last")
        for split, accuracy in (("validation", 0.5), ("test", 0.3))
        if trial.split_first or split == "test"
    ]
    return pd.DataFrame(rows, columns=["trial", "weights", "split", "images", "top1", "top3"])


def make_history(trials: pd.DataFrame) -> pd.DataFrame:
    """Three epochs, the second of them best: .52 on validation images, .92 on leaky ones; in training .6, .7 and .8."""
    rows = [
        (trial.trial, epoch, split, accuracy + (split == "validation") * 0.4 * (not trial.split_first))
        for trial in trials[trials["model"] != "random"].itertuples()
        for split, curve in (("train", (0.6, 0.7, 0.8)), ("validation", (0.4, 0.52, 0.45)))
        for epoch, accuracy in enumerate(curve, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "split", "top1"])


def make_outcomes(trials: pd.DataFrame) -> pd.DataFrame:
    trained = (trials["model"] != "random").astype("int64")
    numbers = {"epochs": 3 * trained, "best_epoch": 2 * trained, "iterations": 90 * trained}
    numbers |= {"seconds": 200.0 * trained, "parameters": 9_966_691 * trained}
    return trials[["trial"]].assign(status="finished", reason="", **numbers)


def make_table(
    trials: pd.DataFrame | None = None,
    metrics: pd.DataFrame | None = None,
    outcomes: pd.DataFrame | None = None,
    published: dict | None = PUBLISHED,
) -> pd.DataFrame:
    trials = make_trials() if trials is None else trials
    metrics = make_metrics(trials) if metrics is None else metrics
    outcomes = make_outcomes(trials) if outcomes is None else outcomes
    tested = metrics[(metrics["weights"] == "best_validation") & (metrics["split"] == "test")]
    intervals = tested[["trial"]].assign(low=tested["top1"] - 0.05, high=tested["top1"] + 0.05)
    return trial_table(trials, metrics, intervals, make_history(trials), outcomes, published, BASE)


def with_failed(trial: str) -> pd.DataFrame:
    """The table when one training diverged in its third epoch: it has no predictions."""
    trials = make_trials()
    metrics, outcomes = make_metrics(trials), make_outcomes(trials)
    outcomes.loc[outcomes["trial"] == trial, "status"] = "failed"
    return make_table(trials, metrics=metrics[metrics["trial"] != trial], outcomes=outcomes)


@pytest.fixture
def table() -> pd.DataFrame:
    return make_table()


@pytest.fixture
def history() -> pd.DataFrame:
    return make_history(make_trials())


def test_every_trial_has_one_row_with_its_own_numbers_in_the_given_order(table):
    trials = make_trials()
    pd.testing.assert_frame_equal(table[trials.columns], trials)
    row = table.set_index("trial").loc["cnn-batch-size-64"]  # the fourth trial
    measured = row[["train_top1", "validation_top1", "test_top1", "last_validation_top1", "last_test_top1"]]
    assert measured.to_list() == pytest.approx([0.7, 0.53, 0.33, 0.43, 0.23])
    assert row[["test_low", "test_high"]].to_list() == pytest.approx([0.28, 0.38])
    assert row[["best_epoch", "epochs", "parameters", "seconds"]].to_list() == [2, 3, 9_966_691, 200]


def test_a_trial_has_no_number_where_it_was_not_measured(table):
    rows = table.set_index("trial")
    assert np.isnan(rows.loc["random", "train_top1"])
    assert rows.loc["cnn-leaky-split", ["validation_top1", "last_validation_top1"]].isna().all()
    assert not [column for column in table if column.startswith(("nice", "real"))]


def test_what_the_evaluation_returns_makes_a_table(study):
    joined = join_predictions(study.predictions, study.manifest)
    trials = study.trials[["trial"]].assign(model="cnn", seed=0, **BASE, split_first=True)
    intervals = accuracy_intervals(joined, np.random.default_rng(0), draws=200)
    outcomes = make_outcomes(trials)
    table = trial_table(trials, accuracies(joined), intervals, make_history(trials), outcomes, None, BASE)
    said = study.predictions.merge(study.manifest[["id", "category", "split"]], on="id")
    said = said[(said["weights"] == "last") & (said["split"] == "test")]
    hits = (said["prediction_1"] == said["category"]).groupby(said["trial"]).mean()
    assert table["last_test_top1"].to_list() == pytest.approx(hits[trials["trial"]].to_list())
    assert table["test_top1"].between(table["test_low"], table["test_high"]).all()
    assert table["nice_test_top1"].add(table["real_test_top1"]).div(2).to_list() == pytest.approx(table["test_top1"])


def test_random_guessing_alone_makes_a_table():
    trials = make_trials().head(1)
    assert make_history(trials).empty
    row = make_table(trials).iloc[0]
    assert np.isnan(row["train_top1"]) and row["test_top1"] == pytest.approx(0.3)


def test_two_domains_stand_in_both_tables():
    trials = make_trials()
    metrics = make_metrics(trials)
    metrics = metrics.assign(nice_top1=metrics["top1"] + 0.2, real_top1=metrics["top1"] - 0.2)
    table = make_table(trials, metrics=metrics)
    assert table.loc[2, ["nice_test_top1", "real_test_top1"]].to_list() == pytest.approx([0.52, 0.12])
    shown = comparison_table(table).set_index("model")
    assert shown.loc["cnn", ["test", "nice", "real"]].to_list() == ["0.320", "0.520", "0.120"]


def test_a_published_row_finds_the_trial_it_names_by_what_differs_from_the_base(table):
    columns = ["published_train", "published_validation", "published_test"]
    found = table.set_index("trial")[columns].dropna(how="all")
    expected = {
        "mlp": [np.nan, 0.516, np.nan],
        "cnn": [0.921, 0.745, np.nan],
        "cnn-batch-size-64": [0.851, np.nan, np.nan],
        "cnn-learning-rate-0.001": [np.nan, 0.7, np.nan],
        "cnn-augmentation-expand": [np.nan, 0.8, np.nan],  # and not the leaky one, which augments as well
    }
    pd.testing.assert_frame_equal(
        found, pd.DataFrame.from_dict(expected, orient="index", columns=columns).rename_axis("trial")
    )


def test_published_settings_need_only_be_nearly_equal():
    row = {"model": "cnn", "learning_rate": 0.1**3, "test": 0.6}
    assert make_table(published={"rows": [row]}).set_index("trial")["published_test"].dropna().to_dict() == {
        "cnn-learning-rate-0.001": 0.6
    }
    close = {"model": "cnn", "learning_rate": 1.01e-3, "test": 0.6}
    assert make_table(published={"rows": [close]})["published_test"].isna().all()


def test_a_base_given_in_other_words_is_the_same_base():
    trials = make_trials().sample(frac=1, random_state=0)  # its index is in disorder, too
    row = {"model": "cnn", "batch_size": 8.0, "dropout": True, "validation": 0.9}
    found = make_table(trials, published={"rows": [row]}).set_index("trial")["published_validation"]
    assert found.dropna().to_dict() == {"cnn": 0.9}


@pytest.mark.parametrize("row", [{"model": "cnn", "batchsize": 64, "train": 0.5}, {"model": "cnn", "accuracy": 0.5}])
def test_an_unknown_published_key_is_refused_by_name(row):
    with pytest.raises(ValueError, match="batchsize|accuracy"):
        make_table(published={"rows": [row]})


def test_a_published_row_without_model_is_refused():
    with pytest.raises(ValueError, match="need model"):
        make_table(published={"rows": [{"validation": 0.5}]})


def test_models_are_compared_with_the_studys_own_settings(table):
    shown = comparison_table(table)
    assert list(shown["model"]) == ["random", "mlp", "cnn"]
    assert shown.set_index("model").loc["cnn"].to_dict() == {
        "train": "0.700",
        "validation": "0.520",
        "test": "0.320",
        "95% interval": "0.270 to 0.370",
        "last epoch (test)": "0.220",
        "parameters": "9,966,691",
        "epochs": "2 of 3",
        "training time": "3 min 20 s",
        "published train": "0.921",
        "published validation": "0.745",
    }
    random = shown.set_index("model").loc["random"]
    assert random[["train", "epochs", "training time", "published validation"]].to_list() == [DASH] * 4
    assert random["test"] == "0.300" and random["parameters"] == "0"


def test_nothing_published_leaves_no_column():
    table = make_table(published=None)
    shown = [*comparison_table(table), *ablation_table(table, BASE, "cnn", "batch_size")]
    assert not [heading for heading in shown if "published" in heading]
    assert table[["published_train", "published_validation", "published_test"]].isna().all(axis=None)


def test_a_published_test_accuracy_is_shown():
    table = make_table(published={"rows": [{"model": "mlp", "test": 0.61}]})
    shown = comparison_table(table).set_index("model")
    assert shown["published test"].to_list() == [DASH, "0.610", DASH]
    assert "published train" not in shown


def test_a_failed_model_stays_in_and_says_so():
    shown = comparison_table(with_failed("mlp")).set_index("model").loc["mlp"]
    assert shown["epochs"] == "failed"
    assert shown[["validation", "test", "95% interval", "last epoch (test)"]].to_list() == [DASH] * 4


def test_an_ablation_holds_the_base_and_is_ordered_by_its_setting(table):
    assert list(ablation_rows(table, BASE, "cnn", "batch_size")["batch_size"]) == [4, 8, 64]
    assert list(ablation_rows(table, BASE, "cnn", "learning_rate")["trial"]) == ["cnn", "cnn-learning-rate-0.001"]
    augmentations = ablation_rows(table, BASE, "cnn", "augmentation")["augmentation"]
    assert list(augmentations) == ["none", "on the fly", "expand"]  # without the leaky one
    assert list(ablation_rows(table, BASE, "mlp", "batch_size")["trial"]) == ["mlp"]


def test_an_ablation_without_the_base_trial_still_stands(table):
    others = table[table["trial"] != "cnn"]
    assert list(ablation_table(others, BASE, "cnn", "batch_size")["batch size"])[:2] == ["4", "64"]


def test_ablation_table_says_it_in_text(table):
    shown = ablation_table(table, BASE, "cnn", "batch_size").set_index("batch size")
    assert shown.loc["64"].to_dict() == {
        "train": "0.700",
        "validation": "0.530",
        "test": "0.330",
        "95% interval": "0.280 to 0.380",
        "epochs": "2 of 3",
        "training time": "3 min 20 s",
        "published train": "0.851",
        "published validation": DASH,
    }
    assert list(ablation_table(table, BASE, "cnn", "learning_rate")["learning rate"])[:2] == ["1e-04", "1e-03"]


def test_every_ablation_stands_above_its_floors(table):
    shown = ablation_table(table, BASE, "cnn", "batch_size").set_index("batch size")
    compared = comparison_table(table).set_index("model")
    floors = {name: model for model, name in FLOORS.items() if model in compared.index}
    assert floors and list(shown.index)[3:] == list(floors)
    assert {name: shown.loc[name, "test"] for name in floors} == {
        name: compared.loc[model, "test"] for name, model in floors.items()
    }


def test_settings_are_ablated_when_two_values_were_tried(table):
    assert ablated_settings(table, BASE, "cnn") == ["batch_size", "learning_rate", "augmentation"]
    assert ablated_settings(table, BASE, "mlp") == []
    without = pd.concat([table, table[table["trial"] == "cnn"].assign(trial="cnn-without-dropout", dropout=False)])
    assert ablated_settings(without, BASE, "cnn") == ["batch_size", "learning_rate", "dropout", "augmentation"]
    assert list(ablation_table(without, BASE, "cnn", "dropout")["dropout"])[:2] == ["without", "with"]


def test_an_unknown_setting_is_refused(table):
    with pytest.raises(ValueError, match="'momentum'"):
        ablation_rows(table, BASE, "cnn", "momentum")


def test_the_leak_is_set_against_its_honest_counterpart(table, history):
    assert leak_table(table, history).to_dict("records") == [
        {
            "order": "split first, then augment (honest)",
            "validation, as reported": "0.520",
            "test": "0.360",
            "95% interval": "0.310 to 0.410",
            "promised too much": "0.160",
        },
        {
            "order": "augment first, then split (leaky)",
            "validation, as reported": "0.920",
            "test": "0.380",
            "95% interval": "0.330 to 0.430",
            "promised too much": "0.540",
        },
    ]


def test_the_counterpart_is_of_the_same_model(table, history):
    """Where the base itself expands, every model has the leaky trial's settings."""
    expanding = table.assign(augmentation=table["augmentation"].mask(table["model"] == "mlp", "expand"))
    pd.testing.assert_frame_equal(leak_table(expanding, history), leak_table(table, history))


def test_the_leak_sentence_is_computed(table, history):
    sentence = leak_sentence(table, history)
    assert re.findall(r"\d\.\d+", sentence) == ["0.920", "0.400", "0.520", "0.380", "0.020", "0.360"]
    assert sentence.count("more than") == 2
    leaky = table["trial"] == "cnn-leaky-split"
    worse = leak_sentence(table.assign(test_top1=table["test_top1"].mask(leaky, 0.2)), history)
    assert "0.200, 0.160 less than the honest one (0.360)" in worse
    equal = leak_sentence(table.assign(test_top1=0.36), history)
    assert "0.360, the same as the honest one (0.360)" in equal


def test_without_a_leaky_trial_nothing_is_said(table, history):
    honest = table[table["split_first"]]
    assert leak_table(honest, history) is None and leak_sentence(honest, history) is None
    assert "Augmenting before" not in summary_text("Berries", honest, history, BASE, "cnn")


@pytest.mark.parametrize("trial", ["cnn-leaky-split", "cnn-augmentation-expand"])
def test_a_leak_without_both_results_promises_nothing(trial, history):
    table = with_failed(trial)
    assert "unknown" in leak_sentence(table, history)
    shown = leak_table(table, history)
    assert list(shown["promised too much"] == DASH) == [trial != "cnn-leaky-split", trial == "cnn-leaky-split"]
    missing = table[table["trial"] != "cnn-augmentation-expand"]
    assert leak_table(missing, history).iloc[0].to_list()[1:] == [DASH] * 4


def test_summary_holds_every_table_and_the_sentence(table, history):
    text = summary_text("Berries", table, history, BASE, "cnn")
    blocks = text.split("\n\n")
    assert blocks[0] == "# Berries: baselines"
    assert [block for block in blocks if block.startswith("##")] == [
        "## Batch size (cnn)",
        "## Learning rate (cnn)",
        "## Augmentation (cnn)",
    ]
    assert sum(block.startswith("|") for block in blocks) == 4
    assert blocks[-1].strip() == leak_sentence(table, history)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (np.nan, DASH),
        (0, DASH),
        (0.3, "under 1 s"),
        (12.4, "12 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3600 * 2 + 300, "2 h 5 min"),
    ],
)
def test_training_time_is_read_at_a_glance(seconds, text):
    assert training_time(seconds) == text


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("learning_rate", 1e-4, "1e-04"),
        ("learning_rate", 0.00025, "2.5e-04"),
        ("batch_size", np.int64(64), "64"),
        ("dropout", np.bool_(False), "without"),
        ("augmentation", "on the fly", "on the fly"),
    ],
)
def test_values_of_settings_are_told_apart(setting, value, text):
    assert setting_text(setting, value) == text

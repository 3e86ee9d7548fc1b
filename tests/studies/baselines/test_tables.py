"""The baselines' tables hold the right trial's numbers, with published ones, failures, two domains and the leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.classification import accuracies, accuracy_intervals, paired_difference
from mixvision.evaluation.metrics import join_predictions
from mixvision.reporting.formatting import DASH, training_time
from mixvision.reporting.published import PublishedBaselines, read_published
from mixvision.studies.baselines import settings as baselines_settings
from mixvision.studies.baselines import training
from mixvision.studies.baselines.leak import (
    HONEST,
    LEAKY,
    MATCHED,
    leak_comparisons,
    leak_numbers,
    leak_sentence,
    leak_table,
)
from mixvision.studies.baselines.settings import published_numbers, setting_text
from mixvision.studies.baselines.tables import (
    FLOORS,
    ablated_settings,
    ablation_rows,
    ablation_table,
    best_trial,
    comparison_table,
    floor_rows,
    summary_text,
    tied_trials,
    trial_table,
    with_honest_distances,
)
from mixvision.transforms import augmentation

BASE = {"learning_rate": 1e-4, "batch_size": 8, "dropout": True, "augmentation": "on the fly"}
PUBLISHED = PublishedBaselines(
    source="Table 1 of a study",
    base=BASE,
    rows=[
        {"model": "mlp", "validation": 0.516},
        {"model": "cnn", "train": 0.921, "validation": 0.745},
        {"model": "cnn", "batch_size": 64, "train": 0.851},
        {"model": "cnn", "learning_rate": "1e-3", "validation": 0.7},
        {"model": "cnn", "augmentation": "expand", "validation": 0.8},
        {"model": "vgg", "validation": 0.99},
    ],
)

MISTAKEN = ["cnn-leaky-split-as-many-photos", "cnn-leaky-split"]


def publish(rows: list[dict]) -> PublishedBaselines:
    return replace(PUBLISHED, rows=rows)


def make_trials() -> pd.DataFrame:
    """Three models, and the CNN with one setting changed at a time, in no order; the last two leak."""
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
        "cnn-leaky-split-as-many-photos": {"augmentation": "expand", "split_first": False, "matched": True},
    }
    same = {"seed": 0, **BASE, "split_first": True, "matched": False}
    rows = [{"trial": trial, "model": trial.split("-")[0], **same, **changed} for trial, changed in changes.items()]
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
    return pd.DataFrame(rows, columns=["trial", "snapshot", "split", "images", "top1", "top3"])


def make_history(trials: pd.DataFrame) -> pd.DataFrame:
    """Three epochs, the second of them best: .52 on validation images; in training .6, .7 and .8."""
    rows = [
        (trial.trial, epoch, split, accuracy)
        for trial in trials[trials["model"] != "random"].itertuples()
        for split, curve in (("train", (0.6, 0.7, 0.8)), ("validation", (0.4, 0.52, 0.45)))
        for epoch, accuracy in enumerate(curve, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "split", "top1"])


def make_outcomes(trials: pd.DataFrame) -> pd.DataFrame:
    trained = (trials["model"] != "random").astype("int64")
    numbers = {"epochs": 3 * trained, "best_epoch": 2 * trained}
    numbers |= {"seconds": 200.0 * trained, "parameters": 9_966_691 * trained, "iterations": 1500 * trained}
    views = {"cnn-augmentation-expand": 0.5, "cnn-leaky-split": 0.92, "cnn-leaky-split-as-many-photos": 0.9}
    leaky = trials["trial"] == "cnn-leaky-split"  # of 1,800 photos
    numbers |= {"train_photos": 1500 + 300 * leaky, "validation_photos": 300 + 1320 * leaky}
    numbers["views_top1"] = trials["trial"].map(views).astype("float64")
    return trials[["trial"]].assign(status="finished", reason="", **numbers)


def make_table(
    trials: pd.DataFrame | None = None,
    metrics: pd.DataFrame | None = None,
    outcomes: pd.DataFrame | None = None,
    published: PublishedBaselines | None = PUBLISHED,
) -> pd.DataFrame:
    trials = make_trials() if trials is None else trials
    metrics = make_metrics(trials) if metrics is None else metrics
    outcomes = make_outcomes(trials) if outcomes is None else outcomes
    tested = metrics[(metrics["snapshot"] == "best_validation") & (metrics["split"] == "test")]
    intervals = tested[["trial"]].assign(low=tested["top1"] - 0.05, high=tested["top1"] + 0.05)
    return trial_table(trials, metrics, intervals, make_history(trials), outcomes, published)


def with_failed(trial: str) -> pd.DataFrame:
    """The table when one training diverged in its third epoch: it has no predictions."""
    trials = make_trials()
    metrics, outcomes = make_metrics(trials), make_outcomes(trials)
    outcomes.loc[outcomes["trial"] == trial, ["status", "views_top1"]] = ["failed", np.nan]
    return make_table(trials, metrics=metrics[metrics["trial"] != trial], outcomes=outcomes)


@pytest.fixture
def table() -> pd.DataFrame:
    return make_table()


def make_hits(table: pd.DataFrame, images: int = 100) -> pd.DataFrame:
    """Joined predictions of so many test images that have the table's test accuracies."""
    tested = table.dropna(subset="test_top1")
    hits = {row.trial: np.arange(images) < round(row.test_top1 * images) for row in tested.itertuples()}
    joined = pd.DataFrame(hits).rename_axis("id").melt(var_name="trial", value_name="top1", ignore_index=False)
    return joined.reset_index().assign(component=lambda rows: rows["id"], snapshot="best_validation", split="test")


def make_leak(table: pd.DataFrame, images: int = 100) -> pd.DataFrame:
    return leak_numbers(table, make_hits(table, images))


@pytest.fixture
def leak(table) -> pd.DataFrame:
    return make_leak(table)


def test_every_trial_has_one_row_with_its_own_numbers_in_the_given_order(table):
    trials = make_trials()
    pd.testing.assert_frame_equal(table[trials.columns], trials)
    row = table.set_index("trial").loc["cnn-batch-size-64"]  # the fourth trial
    measured = row[["train_top1", "validation_top1", "test_top1", "last_validation_top1", "last_test_top1"]]
    assert measured.to_list() == pytest.approx([0.7, 0.53, 0.33, 0.43, 0.23])
    assert row[["test_low", "test_high"]].to_list() == pytest.approx([0.28, 0.38])
    assert row[["best_epoch", "epochs", "iterations", "parameters", "seconds"]].to_list() == [
        2,
        3,
        1500,
        9_966_691,
        200,
    ]


def test_a_trial_has_no_number_where_it_was_not_measured(table):
    rows = table.set_index("trial")
    assert np.isnan(rows.loc["random", "train_top1"])
    assert rows.loc["cnn-leaky-split", ["validation_top1", "last_validation_top1"]].isna().all()
    assert list(rows.index[rows["views_top1"].notna()]) == ["cnn-augmentation-expand", *reversed(MISTAKEN)]
    assert not [column for column in table if column.startswith(("nice", "real"))]


def test_what_the_evaluation_returns_makes_a_table(study):
    joined = join_predictions(study.predictions, study.manifest)
    trials = study.trials[["trial"]].assign(model="cnn", seed=0, **BASE, split_first=True, matched=False)
    intervals = accuracy_intervals(joined)
    outcomes = make_outcomes(trials)
    table = trial_table(trials, accuracies(joined), intervals, make_history(trials), outcomes, None)
    said = study.predictions.merge(study.manifest[["id", "category", "split"]], on="id")
    said = said[(said["snapshot"] == "last") & (said["split"] == "test")]
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
    assert shown.loc["cnn", ["test", "nice, test", "real, test"]].to_list() == ["0.320", "0.520", "0.120"]


def test_published_rows_match_trials_by_what_differs_from_the_base(table):
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
    assert make_table(published=publish([row])).set_index("trial")["published_test"].dropna().to_dict() == {
        "cnn-learning-rate-0.001": 0.6
    }
    close = {"model": "cnn", "learning_rate": 1.01e-3, "test": 0.6}
    assert make_table(published=publish([close]))["published_test"].isna().all()


def test_settings_given_as_other_types_match_the_same_trial():
    trials = make_trials().sample(frac=1, random_state=0)  # its index is in disorder, too
    row = {"model": "cnn", "batch_size": 8.0, "dropout": True, "validation": 0.9}
    found = make_table(trials, published=publish([row])).set_index("trial")["published_validation"]
    assert found.dropna().to_dict() == {"cnn": 0.9}


def test_published_rows_complete_the_published_base_and_not_the_runs(table):
    """A run at another batch size does not take the published numbers of the study's batch size for its own."""
    published = replace(PUBLISHED, base=BASE | {"batch_size": 64})
    found = make_table(published=published).set_index("trial")["published_validation"].dropna()
    assert found.to_dict() == {"cnn-batch-size-64": 0.745}


def test_the_berries_numbers_are_the_studys(pytestconfig):
    published = read_published(pytestconfig.rootpath / "conf/berries/published.yml").baselines
    study = training.Baselines(batch_sizes=(8, 64, 256), learning_rates=(1e-5, 1e-4, 1e-3, 1e-2))
    trials = training.list_trials(study)
    assert published.base == study.base
    found = published_numbers(trials, published).set_axis(trials["trial"])["published_validation"].dropna()
    assert found.to_dict() == {
        "mlp": 0.516,
        "cnn": 0.745,
        "cnn-batch-size-64": 0.717,
        "cnn-batch-size-256": 0.66,
        "cnn-learning-rate-1e-05": 0.632,
        "cnn-learning-rate-0.001": 0.672,
        "cnn-learning-rate-0.01": 0.335,
        "cnn-without-dropout": 0.755,
    }


def test_settings_are_those_that_are_trained_with():
    assert baselines_settings.SETTINGS == training.SETTINGS
    assert baselines_settings.AUGMENTATIONS == augmentation.MODES


def test_a_model_with_the_leak_is_no_rival_of_the_honest_ones(table):
    """Even if it is right on all images, which all others are not."""
    joined = make_hits(table)
    leaky = list(table.loc[~table["split_first"], "trial"])
    joined["top1"] |= joined["trial"].isin(leaky)
    measured = with_honest_distances(table, joined).set_index("trial")
    assert leaky and measured.loc[leaky, ["behind_low", "is_beaten"]].isna().all(axis=None)
    assert not measured.loc[best_trial(table), "is_beaten"]
    assert tied_trials(measured.reset_index()) == tied_trials(with_honest_distances(table, make_hits(table)))


def test_models_are_compared_with_the_base_settings(table):
    shown = comparison_table(table)
    assert list(shown["model"]) == ["random", "mlp", "cnn", best_trial(table)]
    assert shown.set_index("model").loc["cnn"].to_dict() == {
        "train": "0.700",
        "validation": "0.520",
        "test": "0.320",
        "95% interval": "0.270 to 0.370",
        "last epoch (test)": "0.220",
        "parameters": "9,966,691",
        "best epoch": "2 of 3",
        "steps": "1,500",
        "training time": "3 min 20 s",
        "published train": "0.921",
        "published validation": "0.745",
    }
    random = shown.set_index("model").loc["random"]
    assert random[["train", "best epoch", "steps", "training time", "published validation"]].to_list() == [DASH] * 5
    assert random["test"] == "0.300" and random["parameters"] == "0"


def test_nothing_published_leaves_no_column():
    table = make_table(published=None)
    shown = [*comparison_table(table), *ablation_table(table, BASE, "cnn", "batch_size")]
    assert not [heading for heading in shown if "published" in heading]
    assert table[["published_train", "published_validation", "published_test"]].isna().all(axis=None)


def test_a_published_test_accuracy_is_shown():
    table = make_table(published=publish([{"model": "mlp", "test": 0.61}]))
    shown = comparison_table(table).set_index("model")
    assert shown["published test"].to_list() == [DASH, "0.610", DASH, DASH]
    assert "published train" not in shown


def test_a_failed_model_is_listed_as_failed():
    shown = comparison_table(with_failed("mlp")).set_index("model").loc["mlp"]
    assert shown["best epoch"] == "failed"
    assert shown[["validation", "test", "95% interval", "last epoch (test)"]].to_list() == [DASH] * 4


def test_an_ablation_holds_the_base_and_is_ordered_by_its_setting(table):
    assert list(ablation_rows(table, BASE, "cnn", "batch_size")["batch_size"]) == [4, 8, 64]
    assert list(ablation_rows(table, BASE, "cnn", "learning_rate")["trial"]) == ["cnn", "cnn-learning-rate-0.001"]
    augmentations = ablation_rows(table, BASE, "cnn", "augmentation")["augmentation"]
    assert list(augmentations) == ["none", "on the fly", "expand"]  # without the leaky one
    assert list(ablation_rows(table, BASE, "mlp", "batch_size")["trial"]) == ["mlp"]


def test_an_ablation_works_without_the_base_trial(table):
    others = table[table["trial"] != "cnn"]
    assert list(ablation_table(others, BASE, "cnn", "batch_size")["batch size"])[:2] == ["4", "64"]


def test_the_ablation_table_as_text(table):
    shown = ablation_table(table, BASE, "cnn", "batch_size").set_index("batch size")
    assert shown.loc["64"].to_dict() == {
        "train": "0.700",
        "validation": "0.530",
        "test": "0.330",
        "95% interval": "0.280 to 0.380",
        "best epoch": "2 of 3",
        "steps": "1,500",
        "training time": "3 min 20 s",
        "published train": "0.851",
        "published validation": DASH,
    }
    assert list(ablation_table(table, BASE, "cnn", "learning_rate")["learning rate"])[:2] == ["0.0001", "0.001"]


def test_every_ablation_stands_above_its_floors(table):
    shown = ablation_table(table, BASE, "cnn", "batch_size").set_index("batch size")
    compared = comparison_table(table).set_index("model")
    floors = {name: model for model, name in FLOORS.items() if model in compared.index}
    assert floors and list(shown.index)[3:] == list(floors)
    assert {name: shown.loc[name, "test"] for name in floors} == {
        name: compared.loc[model, "test"] for name, model in floors.items()
    }


def test_the_ablated_model_is_no_floor_to_itself(table):
    linear = pd.concat([table, table[table["trial"] == "mlp"].assign(trial="linear", model="linear")])
    assert list(floor_rows(linear, "cnn")["trial"]) == ["linear", "random"]
    assert list(floor_rows(linear, "linear")["trial"]) == ["random"]
    assert list(ablation_table(linear, BASE, "linear", "batch_size")["batch size"]) == ["8", "random guessing"]


def test_settings_are_ablated_when_two_values_were_tried(table):
    assert ablated_settings(table, BASE, "cnn") == ["batch_size", "learning_rate", "augmentation"]
    assert ablated_settings(table, BASE, "mlp") == []
    without = pd.concat([table, table[table["trial"] == "cnn"].assign(trial="cnn-without-dropout", dropout=False)])
    assert ablated_settings(without, BASE, "cnn") == ["batch_size", "learning_rate", "dropout", "augmentation"]
    assert list(ablation_table(without, BASE, "cnn", "dropout")["dropout"])[:2] == ["without", "with"]


def test_an_unknown_setting_is_refused(table):
    with pytest.raises(ValueError, match="'momentum'"):
        ablation_rows(table, BASE, "cnn", "momentum")


def test_the_leak_is_set_against_its_honest_counterpart(table, leak):
    assert list(leak["arm"]) == [HONEST, MATCHED, LEAKY]
    assert list(leak["trial"]) == ["cnn-augmentation-expand", *MISTAKEN]
    rows = table.set_index("trial").loc[leak["trial"]]
    for column in ("train_photos", "validation_photos", "validation_top1", "views_top1", "test_top1", "test_low"):
        assert np.array_equal(leak[column], rows[column], equal_nan=True)


def test_every_difference_is_of_the_pair_that_it_names(table, leak):
    hits = make_hits(table)
    honest, matched, leaky = leak["trial"]
    expected = {
        (1, "honest"): paired_difference(hits, matched, honest),
        (2, "matched"): paired_difference(hits, leaky, matched),
        (2, "honest"): paired_difference(hits, leaky, honest),
    }
    for row in range(3):
        for other in ("honest", "matched"):
            found = leak.loc[row, [f"from_{other}{end}" for end in ("", "_low", "_high")]].to_numpy("float64")
            assert found == pytest.approx(expected.get((row, other), (np.nan,) * 3), nan_ok=True)
    assert expected[2, "matched"][0] == pytest.approx(0.38 - 0.39)


def test_the_counterpart_is_of_the_same_model(table, leak):
    """Where the base itself expands, every model has the leaky trials' settings."""
    expanding = table.assign(augmentation=table["augmentation"].mask(table["model"] == "mlp", "expand"))
    pd.testing.assert_frame_equal(make_leak(expanding), leak)


def test_the_leak_table_as_text(leak):
    honest, matched, leaky = leak_table(leak).to_dict("records")
    assert honest == {
        "model": HONEST,
        "training photos": "1,500",
        "validation photos": "300",
        "validation, views": "0.500",
        "validation, originals": "0.560",
        "test": "0.360",
        "95% interval": "0.310 to 0.410",
        "overestimate": "0.140",
    }
    assert list(matched.values())[1:] == ["1,500", "300", "0.900", DASH, "0.390", "0.340 to 0.440", "0.510"]
    assert list(leaky.values())[1:] == ["1,800", "1,620", "0.920", DASH, "0.380", "0.330 to 0.430", "0.540"]


def test_every_comparison_says_what_it_isolates(leak):
    """Of photos 1,500, 1,500 and 1,800; on views .5, .9 and .92; on test images .36, .39 and .38."""
    shown = leak_comparisons(leak)
    assert list(shown["comparison"]) == [
        f"{MATCHED} minus {HONEST}",
        f"{LEAKY} minus {MATCHED}",
        f"{LEAKY} minus {HONEST}",
    ]
    assert list(shown["training photos"]) == ["+0%", "+20%", "+20%"]
    assert list(shown["validation, views"]) == ["+0.400", "+0.020", "+0.420"]
    assert list(shown["test"]) == ["+0.030", "-0.010", "+0.020"]
    assert [text.split(":")[0] for text in shown["isolates"]] == [
        "the leak alone",
        "the additional training photos",
        "neither",
    ]


def with_difference(leak: pd.DataFrame, test: float, *difference: float) -> pd.DataFrame:
    """Another test accuracy of the leaky model with as many photos."""
    leak = leak.copy()
    leak.loc[1, ["test_top1", "from_honest", "from_honest_low", "from_honest_high"]] = [test, *difference]
    leak.loc[2, ["from_matched", "from_matched_low", "from_matched_high"]] = [0.05, 0.01, 0.09]
    return leak


def test_the_leak_sentence_compares_like_with_like(leak):
    assert leak_sentence(with_difference(leak, 0.38, 0.02, -0.01, 0.05)) == (
        "The leak alone: with as many photos (1,500 in training, 300 in validation) the leaky model reports 0.900 on "
        "views of its validation images, the honest one 0.500 (0.560 on the originals). On the same test images they "
        "reach 0.380 and 0.360: no measurable difference (0.020, 95% interval -0.010 to 0.050). So the validation "
        "accuracy is 0.520 too high with the leak and 0.140 too high without it. The additional photos (+20% in "
        "training): the leaky model on all photos reports 0.920 and reaches 0.380 on the test images: a difference "
        "(0.050, 95% interval 0.010 to 0.090) from the leaky model on as many photos."
    )
    better = leak_sentence(with_difference(leak, 0.95, 0.59, 0.5, 0.7))
    assert (
        ": a difference (0.590, 95% interval 0.500 to 0.700)" in better and "is 0.050 too low with the leak" in better
    )


def test_an_interval_that_touches_zero_is_no_measurable_difference(leak):
    for bounds in ((0.0, 0.05), (-0.05, 0.0)):
        assert "no measurable difference (0.020" in leak_sentence(with_difference(leak, 0.38, 0.02, *bounds))


def test_without_leaky_trials_there_is_no_sentence_on_them(table, leak):
    none = make_leak(table[table["split_first"]])
    assert none.empty and list(none) == list(leak)
    assert leak_sentence(none) is None and leak_table(none).empty and leak_comparisons(none).empty
    assert "The leak alone" not in summary_text("Berries", table, none, BASE, "cnn")


@pytest.mark.parametrize("trial", [*MISTAKEN, "cnn-augmentation-expand"])
def test_without_all_results_the_effect_of_the_leak_is_unknown(trial):
    leak = make_leak(with_failed(trial))
    failed = leak["trial"] == trial
    assert leak.loc[failed, ["validation_top1", "views_top1", "test_top1", "test_low"]].isna().all(axis=None)
    assert leak.loc[~failed, ["views_top1", "test_top1", "test_low"]].notna().all(axis=None)
    assert "unknown" in leak_sentence(leak)
    assert list(leak_table(leak)["overestimate"] == DASH) == list(failed)
    left = leak_comparisons(leak)["test"] != DASH  # the pair of the other two can still be compared
    assert left.sum() == 1 and leak_comparisons(leak).loc[left, "validation, views"].ne(DASH).all()


def test_leak_numbers_survive_a_csv_file(leak, tmp_path):
    for numbers in (leak, leak.head(0)):
        numbers.to_csv(tmp_path / "leak.csv", index=False)
        assert leak_sentence(pd.read_csv(tmp_path / "leak.csv")) == leak_sentence(numbers)


def test_summary_holds_every_table_and_the_sentence(table, leak):
    text = summary_text("Berries", table, leak, BASE, "cnn")
    blocks = text.split("\n\n")
    assert blocks[0] == "# Berries: baselines"
    assert [block for block in blocks if block.startswith("##")] == [
        "## Batch size (cnn)",
        "## Learning rate (cnn)",
        "## Augmentation (cnn)",
    ]
    assert sum(block.startswith("|") for block in blocks) == 4
    assert blocks[-1].strip() == leak_sentence(leak)


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
def test_training_time_as_text(seconds, text):
    assert training_time(seconds) == text


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("learning_rate", 1e-4, "0.0001"),
        ("learning_rate", 0.00025, "0.00025"),
        ("learning_rate", np.float64(1e-5), "1e-05"),
        ("batch_size", np.int64(64), "64"),
        ("dropout", np.bool_(False), "without"),
        ("augmentation", "on the fly", "on the fly"),
    ],
)
def test_values_of_settings_as_text(setting, value, text):
    assert setting_text(setting, value) == text

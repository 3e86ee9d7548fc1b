"""The metric table of a sweep, with and without published numbers, of one and of several seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.reporting.formatting import DASH, interval, markdown_table, number
from mixvision.reporting.image_tables import excluded_files, image_counts, image_dimensions
from mixvision.reporting.published import read_published
from mixvision.reporting.tables import (
    best_ratio,
    comparison_table,
    inseparable,
    inseparable_sentence,
    metric_markdown,
    metric_table,
    own_snapshots_table,
    published_rows,
    snapshot_table,
    trial_settings,
    with_distances,
)
from mixvision.training.config import Training
from mixvision.vocabulary import BEST_IN, METRICS, SNAPSHOTS


def make_table(study, published=None, highest=None) -> pd.DataFrame:
    joined = join_predictions(study.predictions, study.manifest)
    summary = summarise(trial_metrics(joined), study.trials)
    intervals = performance_intervals(joined, study.trials)
    return metric_table(summary, intervals, published, highest=highest)


def test_one_row_per_ratio_and_figure_in_reading_order(study):
    table = make_table(study)
    assert list(table["ratio"]) == [0] * 5 + [30] * 5 + [60] * 5 + [100] * 5
    assert list(table["snapshot"]) == [*SNAPSHOTS, *BEST_IN.values()] * 4


def test_numbers_equal_those_counted_in_the_predictions(study):
    row = make_table(study).set_index(["ratio", "snapshot"]).loc[(60, "last")]
    said = study.predictions.merge(study.manifest[["id", "domain", "category", "split"]], on="id")
    said = said[(said["trial"] == "ratio-060-seed-0") & (said["snapshot"] == "last") & (said["split"] == "test")]
    hits = (said["prediction_1"] == said["category"]).groupby(said["domain"]).mean()
    assert row["nice_top1"] == pytest.approx(hits["nice"])
    assert row["performance_top1"] == pytest.approx(np.sqrt(hits["nice"] * hits["real"]))


def test_the_interval_belongs_to_the_honest_figure_and_holds_it(study):
    table = make_table(study).set_index("snapshot")
    honest = table.loc["best_validation"]
    assert (honest["performance_top1_low"] < honest["performance_top1"]).all()
    assert (honest["performance_top1"] < honest["performance_top1_high"]).all()
    assert table.loc[["last", "best_test"], "performance_top1_low"].isna().all()


def test_the_best_ratio_is_picked_on_validation_images(study):
    table = make_table(study)
    worst_on_test = table["ratio"].eq(30) & table["snapshot"].eq("best_validation")
    table.loc[worst_on_test, ["performance_top1", "validation_performance_top1"]] = [0.0, 1.0]
    assert best_ratio(table) == 30


def test_no_validation_images_is_refused_with_advice(study):
    with pytest.raises(ValueError, match="keep some images"):
        best_ratio(make_table(study).assign(validation_performance_top1=np.nan))


def test_published_numbers_stand_beside_ours(study, published):
    comparison = comparison_table(make_table(study, published)).set_index("% real")
    assert comparison.loc[60, "published"] == "0.648"
    assert comparison.loc[30, "published"] == "\N{EN DASH}"
    beside = snapshot_table(make_table(study, published), "best_test").set_index("% real")
    assert beside.loc[0, "real top-1, published"] == "0.227"
    assert beside.loc[60, "performance top-3, published"] == "0.800"


def test_nothing_published_leaves_no_trace(study):
    table = make_table(study, None)
    assert not [column for column in [*table, *comparison_table(table)] if "published" in column]
    assert "Published" not in metric_markdown(table, None)


def markdown_tables(text: str) -> list[pd.DataFrame]:
    """The tables of a Markdown text, their cells as text."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    cells = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]
    return [pd.DataFrame(rows[2:], columns=rows[0]) for rows in cells]


def test_several_seeds_show_mean_and_deviation(study, study_of_three_seeds):
    assert "±" not in metric_markdown(make_table(study), None)
    table = make_table(study_of_three_seeds)
    said = study_of_three_seeds.predictions.merge(study_of_three_seeds.manifest, on="id").query("split == 'test'")
    said = said.merge(study_of_three_seeds.trials, on="trial").query("ratio == 60 and snapshot == 'last'")
    hits = (said["prediction_1"] == said["category"]).groupby([said["seed"], said["domain"]]).mean().unstack()
    performances = np.sqrt(hits["nice"] * hits["real"])
    comparison, *_ = markdown_tables(metric_markdown(table, None))
    shown = comparison.set_index("% real").loc["60", "end of training"]
    assert shown == f"{performances.mean():.3f} ± {performances.std():.3f}"
    assert performances.std() > 0 and (table["trials"] == 3).all()


def test_markdown_shows_the_comparison_and_every_metric_at_each_snapshot(study, published):
    table = make_table(study, published)
    text = metric_markdown(table, published)
    comparison, *by_snapshot, by_category = markdown_tables(text)
    assert comparison.set_index("% real").loc["60", "published"] == "0.648"
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Chosen on validation", "End of training", "Chosen on test", "By category, test images"]
    for snapshot, shown in zip(SNAPSHOTS, by_snapshot, strict=True):
        expected = table[table["snapshot"] == snapshot].set_index("ratio")
        shown = shown.set_index(shown["% real"].astype("int64"))
        for metric in METRICS:
            assert shown[metric.replace("_top", " top-")].tolist() == [f"{value:.3f}" for value in expected[metric]]
    assert list(by_category.columns[:2]) == ["% real", "domain"] and len(by_category) == 2 * table["ratio"].nunique()
    assert text.rstrip().endswith(f"Published: {published.origin}")


def test_each_measure_can_be_shown_at_the_snapshot_chosen_for_it(study):
    table = make_table(study)
    shown = own_snapshots_table(table).set_index("% real")
    rows = table.set_index(["ratio", "snapshot"])
    for heading, metric, snapshot in (
        ("nice top-1", "nice_top1", "best_validation_nice"),
        ("real top-1", "real_top1", "best_validation_real"),
        ("performance top-1", "performance_top1", "best_validation"),
    ):
        expected = {ratio: f"{rows.loc[(ratio, snapshot), metric]:.3f}" for ratio in shown.index}
        assert shown[heading].to_dict() == expected


def test_the_highest_of_each_column_stands_beside_the_snapshot_chosen_on_test(study):
    highest = pd.DataFrame({"ratio": [0, 60], "highest_nice_top1": [0.99, 0.97], "highest_real_top1": [0.5, 0.7]})
    table = make_table(study, highest=highest)
    assert "nice top-1, its highest" not in snapshot_table(table, "best_validation")
    shown = snapshot_table(table, "best_test").set_index("% real")
    assert list(shown.columns[:4]) == ["nice top-1", "nice top-1, its highest", "real top-1", "real top-1, its highest"]
    assert shown.loc[60, shown.columns[[1, 3]]].tolist() == ["0.970", "0.700"]
    assert shown.loc[30, "nice top-1, its highest"] == DASH


def test_markdown_cells_cannot_break_the_table():
    assert markdown_table(pd.DataFrame({"a": ["x|y\nz"]})).splitlines()[2] == "| x\\|y z |"


def test_the_fruits_table_is_the_papers(pytestconfig):
    paper = published_rows(read_published(pytestconfig.rootpath / "conf/fruits/published.yml").mixing)
    assert list(paper["ratio"]) == list(range(0, 101, 10))
    assert set(paper) <= {"ratio", *METRICS}
    root = np.sqrt(paper["nice_top1"] * paper["real_top1"])
    mixed = paper["ratio"] < 100  # the paper's own last row does not add up; conf/fruits/published.yml says so
    assert np.allclose(root[mixed], paper.loc[mixed, "performance_top1"], atol=0.0012)
    assert paper.loc[~mixed, "performance_top1"].item() == 0.308
    assert paper.loc[paper["performance_top1"].idxmax(), "ratio"] == 60


def test_counts_and_excluded_files(study):
    counts = image_counts(study.manifest).set_index("domain")
    assert list(counts.loc["real", ["kept", "train", "validation", "test", "excluded"]]) == [
        100,
        40,
        20,
        40,
        1,
    ]
    assert excluded_files(study.manifest).to_dict("records") == [
        {"id": "real/Apple/torn.jpg", "reason": "truncated", "bytes": 12}
    ]


def test_dimensions_are_counted_over_decoded_files_the_most_frequent_first():
    rows = (
        [("real", 300, 200, 0, "kept")] * 2 + [("real", 200, 300, 1, "excluded")] * 3 + [("nice", 300, 200, 2, "kept")]
    )
    rows += [("real", 300, 200, 5, "excluded"), ("real", 200, 300, 6, "kept"), ("real", 0, 0, -1, "excluded")]
    manifest = pd.DataFrame(rows, columns=["domain", "width", "height", "pixel_row", "status"])
    assert image_dimensions(manifest).to_dict("split")["data"] == [
        ["real", 200, 300, 4, 1],
        ["real", 300, 200, 3, 2],
        ["nice", 300, 200, 1, 1],
    ]
    assert list(image_dimensions(manifest)) == ["domain", "width", "height", "images", "kept"]
    assert image_dimensions(manifest.head(0)).empty


def test_counts_of_a_study_of_one_domain(study):
    real = study.manifest[study.manifest["domain"] == "real"]
    assert image_counts(real)["domain"].tolist() == ["real"]


def test_settings_shared_by_all_trials_are_listed_once(study):
    shared, differing = trial_settings(study.trials)
    assert shared.to_dict("records") == [{"setting": "seed", "value": "0"}, {"setting": "L2", "value": "0.5"}]
    assert list(differing) == ["trial", "ratio"]


def test_small_settings_are_not_rounded_to_zero():
    trials = pd.DataFrame({"trial": ["a", "b"], "rate": [1e-5, 1e-4], "decay": 1e-6, "steps": [10**6, 2 * 10**6]})
    shared, differing = trial_settings(trials)
    assert shared.to_dict("records") == [{"setting": "decay", "value": "1e-06"}]
    assert differing["rate"].tolist() == ["1e-05", "0.0001"] and differing["steps"].tolist() == [10**6, 2 * 10**6]
    gaps = trial_settings(pd.DataFrame({"trial": ["a", "b"], "rate": [0.5, np.nan], "decay": np.nan}))
    assert gaps[0]["value"].tolist() == [DASH] and gaps[1]["rate"].tolist() == ["0.5", DASH]


def test_a_setting_that_is_left_to_the_program_is_automatic(study):
    shared, _ = trial_settings(study.trials.assign(**vars(Training(evaluate_every=12))))
    values = shared.set_index("setting")["value"]
    assert values[["models trained together", "iterations between evaluations"]].tolist() == ["automatic", "12"]


def test_zero_has_no_sign():
    assert (number(-0.0001), number(-0.25), interval(-0.0001, 0.5)) == ("0.000", "-0.250", "0.000 to 0.500")


@pytest.mark.parametrize(
    ("beaten", "alike", "sentence"),
    [
        ([True, False, False, True], [30, 60], "These test images cannot tell it from 60% real."),
        ([False, True, False, True], [0, 30, 60], "These test images cannot tell it from 0% and 60% real."),
        (
            [True, False, True, np.nan],
            [30],
            "These test images tell it from every other ratio: with 95% probability it is the best.",
        ),
    ],
)
def test_ratios_that_no_other_one_beats_are_not_told_from_the_best(study, beaten, alike, sentence):
    """Whatever the intervals of their distances, each of which looks at one pair."""
    table = make_table(study)
    table.loc[table["ratio"] == 30, "validation_performance_top1"] = 1.0
    behind = pd.DataFrame({"ratio": [0, 30, 60, 100], "behind_low": 0.1, "behind_high": 0.5, "is_beaten": beaten})
    whole = with_distances(table, behind)
    assert (inseparable(whole), inseparable_sentence(whole.assign(trials=2))) == (alike, sentence)
    alone = inseparable_sentence(whole.assign(trials=1))
    assert alone == f"{sentence} Seeds were not looked at: each ratio was trained with one."
    assert comparison_table(whole)["behind the best"][1] == "0.100 to 0.500"
    assert (inseparable(table), inseparable_sentence(table)) == ([30], "")

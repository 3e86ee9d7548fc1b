"""The tuning's tables, figures and page carry the numbers of the trials."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.pipelines.tuning.nodes import draw_mistakes
from mixvision.reporting.formatting import DASH
from mixvision.reporting.published import PublishedTuning
from mixvision.reporting.tiles import tiles_by_group
from mixvision.studies.tuning.figures import (
    adaptive_trials,
    best_against_ratio,
    progress_curves,
    settings_against_ratio,
)
from mixvision.studies.tuning.page import (
    STEPS,
    TuningResults,
    best_by_ratio,
    mean_of_best,
    ratios_table,
    search_progress,
    searches_table,
    step_table,
    tuning_answer,
    tuning_page,
    tuning_summary,
)

COLUMNS = ["step", "round", "ratio", "learning_rate", "l2", "iterations", "status", "trained_iterations"]
CHOSEN = {"learning_rate": 0.02, "l2": 0.5, "performance_top1": 0.75, "source": "the grid"}
PUBLISHED = PublishedTuning("section 4 of a paper", learning_rate=0.004, l2=0.5)


def scores_of(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*COLUMNS, "performance_top1"])
    return table.assign(trial=[f"trial-{place}" for place in range(len(table))], seed=0, reason="")


@pytest.fixture
def grid() -> pd.DataFrame:
    """Two rates, then one of them with two factors, then the last; at 80% the higher rate diverges."""
    return scores_of(
        [
            ("rates", 0, 20, 0.02, 0.1, 10, "finished", 10, 0.6),
            ("rates", 0, 80, 0.02, 0.1, 10, "finished", 10, 0.5),
            ("rates", 0, 20, 0.08, 0.1, 10, "finished", 10, 0.9),
            ("rates", 0, 80, 0.08, 0.1, 10, "failed", 10, math.nan),
            *[
                ("factors", 1, ratio, 0.02, l2, 10, "finished", 10, 0.5 + l2 / 10)
                for ratio in (20, 80)
                for l2 in (0.5, 1)
            ],
            ("final", 2, 20, 0.02, 0.5, 20, "finished", 20, 0.8),
            ("final", 2, 80, 0.02, 0.5, 20, "finished", 20, 0.7),
        ]
    )


@pytest.fixture
def adaptive() -> pd.DataFrame:
    return scores_of(
        [
            ("adaptive", 0, 20, 0.03, 0.2, 20, "finished", 20, 0.85),
            ("adaptive", 0, 80, 0.05, 0.3, 20, "failed", 20, math.nan),
            ("adaptive", 1, 20, 0.01, 0.9, 20, "pruned", 10, 0.4),
            ("adaptive", 1, 80, 0.02, 0.1, 20, "finished", 20, 0.65),
        ]
    )


@pytest.fixture
def progress() -> pd.DataFrame:
    values = [("grid", 40, 0.5), ("grid", 120, 0.8), ("adaptive", 40, 0.6)]
    return pd.DataFrame(values, columns=["search", "spent", "performance_top1"])


def fractions(text: str) -> list[str]:
    return re.findall(r"\b\d\.\d{3}\b", text)


def named(figure) -> dict:
    return {trace.name: trace for trace in figure.data}


def test_settings_are_listed_best_first_and_divergence_counts_as_nothing(grid):
    table = step_table(grid, "rates")
    assert table["learning rate"].tolist() == ["0.02", "0.08"]
    assert table["mean"].tolist() == pytest.approx([0.55, 0.45])
    assert table["80% real"].tolist() == pytest.approx([0.5, math.nan], nan_ok=True)
    assert step_table(grid, "factors")["L2"].tolist() == ["1", "0.5"]


def test_a_cancelled_trial_is_no_performance_of_zero_and_is_named(grid, adaptive):
    """With one ratio, nothing is left of its setting; with two, the other ratio ranks all settings."""
    cancelled = (grid["step"] == "factors") & (grid["ratio"] == 20) & (grid["l2"] == 1)
    ended = grid.assign(
        status=grid["status"].mask(cancelled, "cancelled"),
        reason=grid["reason"].mask(cancelled, "Cancelled before it started."),
        performance_top1=grid["performance_top1"].mask(cancelled),
    )
    assert step_table(ended, "factors")["mean"].tolist() == pytest.approx([0.6, 0.55])
    alone = step_table(ended[ended["ratio"] == 20], "factors")
    assert alone["L2"].tolist() == ["0.5", "1"]
    assert alone["mean"].tolist() == pytest.approx([0.55, math.nan], nan_ok=True)
    name = grid.loc[cancelled, "trial"].item()
    summary = tuning_summary("Fruits", CHOSEN, ended, adaptive, None)
    assert f"Missing: {name} (cancelled). Cancelled before it started." in summary.split("\n\n")


def test_the_best_of_a_ratio_is_that_of_any_step(grid, adaptive):
    best = best_by_ratio(grid)
    assert best["performance_top1"].tolist() == [0.9, 0.7] and best["learning_rate"].tolist() == [0.08, 0.02]
    table = ratios_table(grid, adaptive)
    assert table.iloc[1].tolist() == [80, "0.700", "0.02, 0.5", "0.650", "0.02, 0.1"]


def test_a_ratio_at_which_all_trials_of_a_search_diverged_is_a_dash(grid, adaptive):
    failed = adaptive.assign(performance_top1=adaptive["performance_top1"].where(adaptive["ratio"] == 20))
    assert ratios_table(grid, failed).iloc[1].tolist() == [80, "0.700", "0.02, 0.5", DASH, DASH]


def test_searches_are_compared_by_cost_and_best_performance(grid, adaptive):
    table = searches_table(grid, adaptive).set_index("search")
    assert table.loc["grid"].tolist() == [10, 0, 1, "120", "0.800"]
    assert table.loc["adaptive"].tolist() == [4, 1, 1, "70", "0.750"]


def test_a_ratio_at_which_every_trial_diverged_counts_as_zero(grid, adaptive):
    lost = adaptive.assign(
        performance_top1=adaptive["performance_top1"].where(adaptive["ratio"] == 20),
        status=adaptive["status"].where(adaptive["ratio"] == 20, "failed"),
    )
    assert mean_of_best(grid) == pytest.approx(0.8) and mean_of_best(lost) == pytest.approx(0.85 / 2)
    assert searches_table(grid, lost).set_index("search").loc["adaptive", "mean of the best"] == "0.425"
    assert fractions(tuning_answer(CHOSEN, grid, lost, None)) == ["0.750", "0.800", "0.425"]
    rows = [(f"trial-{place}", 10, "validation", 0.8) for place in range(4)]
    history = pd.DataFrame(rows, columns=["trial", "iteration", "split", "performance_top1"])
    assert search_progress(lost, history)["performance_top1"].tolist() == pytest.approx([0.4, 0.4])


def test_progress_is_the_best_so_far_for_what_all_trials_had_spent():
    """Worked out by hand: two rounds of two ratios, an early peak, a pruned and a diverged trial, a test row."""
    scores = scores_of(
        [
            ("adaptive", 0, 20, 0.1, 0.1, 20, "finished", 20, 0.6),
            ("adaptive", 0, 80, 0.1, 0.1, 20, "failed", 20, math.nan),
            ("adaptive", 1, 20, 0.1, 0.1, 20, "pruned", 10, 0.5),
            ("adaptive", 1, 80, 0.1, 0.1, 20, "finished", 20, 0.4),
        ]
    )
    rows = [
        ("trial-0", 10, "validation", 0.6),
        ("trial-0", 20, "validation", 0.3),
        ("trial-0", 20, "test", 0.99),
        ("trial-1", 10, "validation", 0.9),
        ("trial-2", 10, "validation", 0.5),
        ("trial-3", 10, "validation", 0.2),
        ("trial-3", 20, "validation", 0.4),
    ]
    history = pd.DataFrame(rows, columns=["trial", "iteration", "split", "performance_top1"])
    progress = search_progress(scores, history)
    assert progress["spent"].tolist() == [20, 40, 40 + 20, 40 + 30]
    assert progress["performance_top1"].tolist() == pytest.approx([0.3, 0.3, (0.6 + 0.2) / 2, (0.6 + 0.4) / 2])


def test_every_setting_has_a_line_of_its_own_style(grid):
    figure = settings_against_ratio(grid, "factors", "L2 factors")
    traces = named(figure)
    assert set(traces) == {"rate 0.02, L2 0.5", "rate 0.02, L2 1"}
    assert list(traces["rate 0.02, L2 1"].y) == [0.6, 0.6] and list(traces["rate 0.02, L2 1"].x) == [20, 80]
    eight = scores_of(
        [
            ("factors", 1, ratio, rate, l2, 10, "finished", 10, 0.5)
            for rate in (0.0025, 0.004)
            for l2 in (0.1, 0.3, 2.0, 6.0)
            for ratio in (0, 100)
        ]
    )
    looks = {(trace.line.color, trace.line.dash) for trace in settings_against_ratio(eight, "factors", "t").data}
    assert len(looks) == 8
    rates = settings_against_ratio(grid, "rates", "t").data
    assert len({trace.line.color for trace in rates}) == 2 and {trace.line.dash for trace in rates} == {"solid"}


def test_figures_of_both_searches_show_their_numbers(grid, adaptive, progress):
    best = named(best_against_ratio(grid, adaptive))
    assert list(best["adaptive"].x) == [20, 80] and list(best["adaptive"].y) == [0.85, 0.65]
    curves = progress_curves(progress, grid)
    assert list(named(curves)["grid"].x) == [40, 120]
    assert [shape.x0 for shape in curves.layout.shapes] == [40, 80, 120]
    looked = named(adaptive_trials(adaptive, 0.02, 0.5))
    assert set(looked) == {"finished", "pruned", "diverged", "chosen by the grid"}
    shown = [trace for trace in adaptive_trials(adaptive, 0.02, 0.5).data if trace.showlegend is not False]
    assert [trace.name for trace in shown] == list(looked) and not any(trace.marker.coloraxis for trace in shown)
    assert list(looked["pruned"].marker.color) == pytest.approx([0.45])
    assert list(looked["diverged"].x) == [0.05]


def test_every_figure_has_a_title_and_survives_json(grid, adaptive, progress):
    figures = [settings_against_ratio(grid, step, heading) for step, heading in STEPS.items()]
    figures += [best_against_ratio(grid, adaptive), progress_curves(progress, grid), adaptive_trials(adaptive, 0.1, 1)]
    for figure in figures:
        assert figure.layout.title.text and figure.layout.title.subtitle.text
        text = figure.to_json()
        assert json.loads(plotly.io.from_json(text).to_json()) == json.loads(text)


def test_the_answer_gives_the_choice_and_the_mean_of_the_best_of_both_searches(grid, adaptive):
    """The grid's best are 0.9 and 0.7, the adaptive search's 0.85 and 0.65."""
    answer = tuning_answer(CHOSEN, grid, adaptive, PUBLISHED)
    assert fractions(answer) == ["0.004", "0.750", "0.800", "0.750"]
    assert re.findall(r"learning rate (\S+) with L2 (\S+) \(published: (\S+) and (\S+)\)", answer) == [
        ("0.02", "0.5", "0.004", "0.5")
    ]
    assert "published" not in tuning_answer(CHOSEN, grid, adaptive, None)


def test_the_summary_holds_the_tables_of_the_steps_and_of_the_searches(grid, adaptive):
    summary = tuning_summary("Fruits", CHOSEN, grid, adaptive, PUBLISHED)
    blocks = [block.splitlines() for block in summary.split("\n\n")]
    tables = [[[cell.strip() for cell in line.strip("|").split("|")] for line in b] for b in blocks if b[0][0] == "|"]
    headings = [blocks[place - 1][0] for place, block in enumerate(blocks) if block[0][0] == "|"]
    assert headings[:3] == list(STEPS.values())
    rates, factors, final, searches = (table[2:] for table in tables)
    assert rates == [["0.02", "0.1", "10", "0.550"], ["0.08", "0.1", "10", "0.450"]]
    assert factors == [["0.02", "1", "10", "0.600"], ["0.02", "0.5", "10", "0.550"]]
    assert final == [["0.02", "0.5", "20", "0.750"]]
    assert searches == [["grid", "10", "0", "1", "120", "0.800"], ["adaptive", "4", "1", "1", "70", "0.750"]]
    assert tuning_answer(CHOSEN, grid, adaptive, PUBLISHED) in summary.split("\n\n")


@pytest.fixture
def arguments(grid, adaptive, progress) -> tuple:
    results = {step: settings_against_ratio(grid, step, heading) for step, heading in STEPS.items()}
    results |= {"progress": progress_curves(progress, grid), "best_by_ratio": best_against_ratio(grid, adaptive)}
    results |= dict.fromkeys(("mistakes", "hardest"), Image.new("RGB", (40, 30), "red"))
    results |= {"grid_scores": grid, "adaptive_scores": adaptive, "adaptive_trials": go.Figure(), "chosen": CHOSEN}
    return ("Fruits", TuningResults(**results), {"grid, iterations": 10, "training, stack_size": None}, PUBLISHED)


def test_terms_are_explained(arguments):
    require_explained_terms(tuning_page(*arguments))


def test_the_page_shows_steps_searches_trials_and_settings(arguments, grid, adaptive):
    page = Reader(tuning_page(*arguments))
    assert page.headings[:3] == list(STEPS.values())
    steps = [pd.DataFrame(rows[1:], columns=rows[0]) for rows in page.tables if "mean" in rows[0]]
    assert [step["mean"].tolist() for step in steps] == [["0.550", "0.450"], ["0.600", "0.550"], ["0.750"]]
    assert steps[0]["80% real"].tolist() == ["0.500", DASH]
    best = page.table("% real", "grid", "adaptive").set_index("% real")
    assert best["grid"].to_dict() == {"20": "0.900", "80": "0.700"}
    assert best["adaptive"].to_dict() == {"20": "0.850", "80": "0.650"}
    trials = [pd.DataFrame(rows[1:], columns=rows[0]) for rows in page.tables if "trained iterations" in rows[0]]
    for shown, scores in zip(trials, (grid, adaptive), strict=True):
        assert shown["trial"].tolist() == scores["trial"].tolist()
        assert shown["trained iterations"].tolist() == scores["trained_iterations"].map(str).tolist()
    settings = page.table("setting", "value").set_index("setting")["value"]
    assert settings.to_dict() == {"grid, iterations": "10", "training, models trained together": "automatic"}
    assert page.section("How to read this").endswith("Published: section 4 of a paper.")


def test_the_mistakes_with_the_chosen_setting_are_pictures_of_validation_images(arguments, study):
    words = Reader(tuning_page(*arguments)).section("A closer look at the chosen setting")
    assert words.index("Most confident mistakes") < words.index("Hardest images over all models")
    scores = pd.DataFrame(
        {"trial": ["ratio-030-seed-0", "ratio-060-seed-0"], "step": ["final", "rates"], "status": "finished"}
    ).assign(learning_rate=0.02, l2=0.5)
    stores = [SimpleNamespace(pixels=pixels) for pixels in study.pixels.values()]
    mistakes, *sheets = draw_mistakes(study.predictions, study.manifest, scores, CHOSEN, *stores)
    said = study.predictions.query("trial == 'ratio-030-seed-0' and snapshot == 'best_validation'")
    said = said.set_index("id")["prediction_1"]
    assert mistakes["prediction"].tolist() == said[mistakes["id"]].tolist() and len(mistakes)
    assert set(study.manifest.set_index("id").loc[mistakes["id"], "split"]) == {"validation"}
    assert all(tiles_by_group(sheet) for sheet in sheets)


def test_the_page_is_the_same_each_time(arguments):
    assert tuning_page(*arguments) == tuning_page(*arguments)


def test_the_page_can_be_read_in_a_browser(look_at, arguments, adaptive):
    title, results, *others = arguments
    look_at(tuning_page(title, replace(results, adaptive_trials=adaptive_trials(adaptive, 0.02, 0.5)), *others))

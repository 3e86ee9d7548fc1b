"""The conclusions' tables, figures, page and summary on a small study, complete and with parts missing."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mixvision.datasets.reports import ABSENT
from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.pipelines.conclusions.nodes import draw, fit_mixing_law, judge, write_page
from mixvision.reporting.published import Published, PublishedIterative
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import metric_table
from mixvision.studies.conclusions.mixing_law import Proxies
from mixvision.studies.conclusions.page import answer, law_sentences, seeds_sentence, verdict_table

REPORT = ReportParameters(title="Five fruits", bootstrap_draws=200)
PROXIES = Proxies(ratio_sets=[[0, 30, 100], [0, 30, 60, 100], [0, 1, 2]], iteration_shares=[0.5, 1.0])


def turn_iterative(study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The middle ratios' results as if they came from iterative training."""
    middle = study.trials[study.trials["ratio"].isin([30, 60])]
    predictions = study.predictions[study.predictions["trial"].isin(middle["trial"])]
    names = {trial: trial.replace("ratio", "initial") for trial in middle["trial"]}
    trials = middle.assign(trial=middle["trial"].map(names)).rename(columns={"ratio": "share"})
    return trials, predictions.assign(trial=predictions["trial"].map(names))


def conclude(study, published=None, iterative: bool = True, proxies: Proxies = PROXIES) -> dict:
    """Everything that the pipeline makes, tables once through CSV, as the catalog does it."""
    known = Published(mixing=published, iterative=PublishedIterative("Section 5", highest_performance=0.45))
    known = known if published else Published()
    trials, predictions = turn_iterative(study)
    if not iterative:
        trials, predictions = trials.head(0), predictions.head(0)
    mixed, in_turn = (join_predictions(said, study.manifest) for said in (study.predictions, predictions))
    tables = judge(study.trials, mixed, trials, in_turn, known, REPORT)
    verdicts, ratios, settings = tables
    metrics = make_metric_table(study, published)
    law, curves = fit_mixing_law(study.history, study.trials, study.trials.assign(status="finished"), metrics, proxies)
    figures = tuple(draw(verdicts, ratios, settings, curves, known).values())
    results = {"verdicts": verdicts, "settings": settings, "metric_table": metrics, "law": law}
    names = ("differences", "best_ratios", "approaches", "law_fits")
    results |= {name: None if drawn is ABSENT else drawn for name, drawn in zip(names, figures, strict=True)}
    page, summary = write_page(known, REPORT, **results)
    return {"verdicts": verdicts, "ratios": ratios, "settings": settings, "law": law, "curves": curves} | {
        "figures": figures,
        "page": page,
        "summary": summary,
    }


def make_metric_table(study, published) -> pd.DataFrame:
    joined = join_predictions(study.predictions, study.manifest)
    intervals = performance_intervals(joined, study.trials, np.random.default_rng(0), draws=50)
    return metric_table(summarise(trial_metrics(joined), study.trials), intervals, published)


@pytest.fixture(scope="module")
def concluded(study, published) -> dict:
    return conclude(study, published)


def test_the_page_and_the_summary_say_every_sentence(concluded):
    words = []
    reader = HTMLParser()
    reader.handle_data = words.append
    reader.feed(concluded["page"])
    text = " ".join(" ".join(words).split())
    for sentence in [
        *concluded["verdicts"]["sentence"],
        answer(concluded["verdicts"]),
        *law_sentences(concluded["law"]),
    ]:
        assert sentence in text
    assert all(sentence in concluded["summary"] for sentence in concluded["verdicts"]["sentence"])
    assert "One seed" in text and "One seed" in concluded["summary"]
    assert "Table 2 of a paper" in text and "Section 5" in text and "Figures 8 to 14" in text


def test_the_verdict_table_shows_differences_ratios_and_the_published(concluded):
    table = verdict_table(concluded["verdicts"]).set_index("hypothesis")
    best = concluded["verdicts"].set_index("hypothesis").loc["best performance near 50% real"]
    assert table.loc["best performance near 50% real", "estimate"] == f"{best['estimate']:.0f}%"
    assert table.loc["iterative better than mixed training", "published"] == "refuted (-0.198)"
    assert table.loc["best performance near 50% real", "published"] == "supported (60%)"
    assert table.loc["highest real accuracy at 100% real", "published"] == "\N{EN DASH}"


def test_figures_draw_the_tables(concluded):
    differences, ratios, approaches, laws = concluded["figures"]
    rows = concluded["verdicts"].set_index("hypothesis")
    drawn = dict(zip([name.split("<br>")[0] for name in differences.data[0].y], differences.data[0].x, strict=True))
    assert drawn == {name: row["estimate"] for name, row in rows.iterrows() if "near" not in name}
    assert list(ratios.data[0].y) == list(concluded["ratios"]["share"])
    mixed, iterative = (trace for trace in approaches.data if trace.name.startswith("ours"))
    assert list(mixed.x) == [0, 30, 60, 100] and list(iterative.x) == [30, 60]
    assert (mixed.xaxis, iterative.xaxis) == ("x", "x2")
    assert len(laws.data) == 2 * 2 * 3 * 2  # sets, iterations, measures; a curve and its points
    filled = [trace.marker.symbol for trace in laws.data if trace.mode == "markers"]
    assert filled[0] == ("circle", "circle", "circle-open", "circle")
    assert filled[-1] == ("circle",) * 4


def test_nothing_published_leaves_no_trace(study):
    concluded = conclude(study)
    assert "ublished" not in concluded["summary"]
    assert "published" not in verdict_table(concluded["verdicts"])
    names = [trace.name for figure in concluded["figures"] for trace in figure.data]
    assert not [name for name in names if name and "published" in name]


def test_missing_parts_are_said_and_do_not_stop_the_report(study, published):
    proxies = Proxies(ratio_sets=[[0, 50, 100]])
    concluded = conclude(study, published, iterative=False, proxies=proxies)
    assert "There are no results of iterative training." in concluded["page"]
    assert "No law was fitted" in concluded["page"] and "No law was fitted" in concluded["summary"]
    assert set(concluded["settings"]["approach"]) == {"mixed"}


def test_several_seeds_are_said(study_of_three_seeds):
    settings = conclude(study_of_three_seeds)["settings"]
    assert (settings["trials"] == 3).all()
    assert seeds_sentence(settings).startswith("3 seeds a setting")
    assert seeds_sentence(settings.assign(trials=[1] * 4 + [3] * 2)).startswith("1 to 3 seeds")

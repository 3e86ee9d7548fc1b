"""The conclusions' tables, figures, page and summary on a small study, complete and with parts missing."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from page_reader import Reader
from page_terms import require_explained_terms

from mixvision.datasets.reports import ABSENT
from mixvision.evaluation.comparisons import Claims
from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.pipelines.conclusions.nodes import draw, fit_mixing_law, judge, write_page
from mixvision.reporting.formatting import DASH
from mixvision.reporting.published import Published, PublishedIterative
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import metric_table
from mixvision.studies.conclusions.mixing_law import Proxies
from mixvision.studies.conclusions.page import answer, law_sentences, seeds_sentence, verdict_table

REPORT = ReportParameters(title="Five fruits")
CLAIMS = Claims(seeds=(0, 1, 2), margin=0.01)
NONE_LOST = pd.DataFrame(columns=["trial", "status", "reason"])
PROXIES = Proxies(ratio_sets=[[0, 30, 100], [0, 30, 60, 100], [0, 1, 2]], iteration_shares=[0.5, 1.0])


def turn_iterative(study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The middle ratios' results, as if they came from iterative training."""
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
    tables = judge(study.trials, mixed, trials, in_turn, known, CLAIMS)
    verdicts, ratios, settings, variances = tables
    metrics = make_metric_table(study, published)
    law, curves = fit_mixing_law(study.history, study.trials, study.trials.assign(status="finished"), metrics, proxies)
    figures = tuple(draw(verdicts, ratios, settings, curves, known).values())
    results = {"verdicts": verdicts, "settings": settings, "metric_table": metrics, "law": law, "variances": variances}
    names = ("differences", "ratios", "approaches", "law_fits")
    results |= {name: None if drawn is ABSENT else drawn for name, drawn in zip(names, figures, strict=True)}
    results |= {"mixing_trials": study.trials, "iterative_trials": trials}
    page, summary = write_page(known, REPORT, proxies, CLAIMS, NONE_LOST, NONE_LOST, **results)
    return {
        "verdicts": verdicts,
        "ratios": ratios,
        "variances": variances,
        "settings": settings,
        "law": law,
        "curves": curves,
    } | {
        "figures": figures,
        "page": page,
        "summary": summary,
    }


def make_metric_table(study, published) -> pd.DataFrame:
    joined = join_predictions(study.predictions, study.manifest)
    intervals = performance_intervals(joined, study.trials)
    return metric_table(summarise(trial_metrics(joined), study.trials), intervals, published)


@pytest.fixture(scope="module")
def concluded(study_of_three_seeds, published) -> dict:
    return conclude(study_of_three_seeds, published)


@pytest.fixture(scope="module")
def unpublished(study) -> dict:
    return conclude(study)


def test_terms_are_explained(study, concluded):
    require_explained_terms(concluded["page"])
    require_explained_terms(conclude(study, iterative=False)["page"])


def test_the_page_and_the_summary_have_every_sentence_in_its_place(concluded):
    page, verdicts = Reader(concluded["page"]), concluded["verdicts"]
    assert all(sentence in page.section("The hypotheses") for sentence in verdicts["sentence"])
    assert answer(verdicts) in page.section("")
    assert all(sentence in page.section("A law of mixing") for sentence in law_sentences(concluded["law"]))
    assert all(sentence in concluded["summary"] for sentence in verdicts["sentence"])
    for origin in ("Table 2 of a paper. Best iteration on the test set.", "Section 5."):
        assert f"Published numbers: {origin}" in page.section("How to read this")


def test_the_answer_gives_every_verdict(concluded):
    verdicts = concluded["verdicts"].set_index("hypothesis")["verdict"]
    given = dict(part.rsplit(": ", 1) for part in answer(concluded["verdicts"]).rstrip(".").split("; "))
    assert {name.lower(): verdict for name, verdict in given.items()} == verdicts.to_dict()


def test_the_key_numbers_count_the_verdicts_and_name_the_best_settings(concluded):
    page = Reader(concluded["page"])
    values = page.key_numbers
    verdicts = list(concluded["verdicts"]["verdict"])
    assert values[:4] == [str(verdicts.count(verdict)) for verdict in ("supported", "refuted", "tied", "undecided")]
    settings = concluded["settings"].set_index(["approach", "value"])
    for approach, value in zip(("mixed", "iterative"), values[4:], strict=True):
        rows = settings.loc[approach]
        best = rows["validation_performance"].idxmax()
        assert value == f"{rows.loc[best, 'performance']:.3f}"
        assert f"best {approach} performance (at {best}%" in page.section("")


def test_the_page_shows_settings_and_law_as_tables(concluded):
    page, settings, law = Reader(concluded["page"]), concluded["settings"], concluded["law"]
    shown = page.table("approach", "on validation images").set_index(["approach", "% real, or % initial"])
    columns = ["nice", "real", "performance", "performance_low", "performance_high", "validation_performance"]
    for row in settings.to_dict("records"):
        cells = shown.loc[(row["approach"], str(row["value"]))].tolist()
        assert cells == [str(row["trials"]), *(f"{row[column]:.3f}" for column in columns)]
    assert len(shown) == len(settings)
    fits = page.table("predicted", "regret")
    assert fits["predicted"].tolist() == [f"{ratio}%" for ratio in law["predicted_best"]]
    assert fits["steps"].tolist() == [f"{100 * cost:.0f}%" for cost in law["cost"]]
    for column, name in {
        "regret": "regret",
        "best proxy": "regret_of_best_proxy",
        "all runs": "regret_of_all_runs",
    }.items():
        assert fits[column].tolist() == [f"{value:.3f}" for value in law[name]]


def test_every_setting_has_its_measures_by_category(concluded):
    shown = Reader(concluded["page"]).table("setting", "domain", "worst category").set_index(["setting", "domain"])
    settings = concluded["settings"]
    assert len(shown) == 2 * len(settings)
    for row in settings.to_dict("records"):
        name = f"{row['value']}{'% real' if row['approach'] == 'mixed' else '% initial'}"
        for domain in ("nice", "real"):
            measures = ("worst_category", "balanced_accuracy", "macro_f1")
            assert shown.loc[(name, domain)].tolist() == [f"{row[f'{domain}_{measure}']:.3f}" for measure in measures]


def test_the_sentences_on_the_law_give_its_predictions_and_mean_regrets(concluded):
    law, (predictions, regrets, _) = concluded["law"], law_sentences(concluded["law"])
    largest = law[law["proxies"] == "0, 30, 60, 100"]
    given = re.findall(r"at iteration (\d+) \((\d+)% of all training steps\) (\d+)% real", predictions)
    expected = zip(largest["iteration"], largest["cost"], largest["predicted_best"], strict=True)
    assert given == [(str(iteration), f"{100 * cost:.0f}", str(best)) for iteration, cost, best in expected]
    assert f"pick {law['observed_best'].iloc[0]}%" in predictions
    means = law[["regret", "regret_of_best_proxy", "regret_of_all_runs"]].mean()
    assert re.findall(r"\d\.\d{3}", regrets) == [f"{value:.3f}" for value in means]


def test_the_verdict_table_shows_differences_ratios_and_the_published(concluded):
    table = verdict_table(concluded["verdicts"]).set_index("hypothesis")
    best = concluded["verdicts"].set_index("hypothesis").loc["best performance near 50% real"]
    assert table.loc["best performance near 50% real", "difference"] == f"{best['estimate']:+.3f}"
    assert (table["seeds"] == "3").all()
    assert table.loc["iterative better than mixed training", "published"] == "refuted (-0.198)"
    assert table.loc["best performance near 50% real", "published"] == "supported (60%)"
    assert table.loc["highest real accuracy at 100% real", "published"] == "\N{EN DASH}"


def test_figures_draw_the_tables(concluded):
    differences, ratios, approaches, laws = concluded["figures"]
    rows = concluded["verdicts"].set_index("hypothesis")
    drawn = dict(zip([name.split("<br>")[0] for name in differences.data[0].y], differences.data[0].x, strict=True))
    assert drawn == {name: row["estimate"] for name, row in rows.iterrows()}
    for trace, is_beaten in zip(ratios.data, (False, True), strict=True):
        rows = concluded["ratios"][concluded["ratios"]["is_beaten"] == is_beaten]
        assert list(trace.x) == list(rows["ratio"]) and list(trace.y) == list(rows["behind"])
        assert list(trace.error_y.array) == list(rows["margin"])
    mixed, iterative = (trace for trace in approaches.data if trace.name.startswith("this study"))
    assert list(mixed.x) == [0, 30, 60, 100] and list(iterative.x) == [30, 60]
    assert (mixed.xaxis, iterative.xaxis) == ("x", "x2")
    assert len(laws.data) == 2 * 2 * 3 * 2  # sets, iterations, measures; a curve and its points
    filled = [trace.marker.symbol for trace in laws.data if trace.mode == "markers"]
    assert filled[0] == ("circle", "circle", "circle-open", "circle")
    assert filled[-1] == ("circle",) * 4


def test_nothing_published_leaves_no_trace(unpublished):
    assert "ublished" not in unpublished["summary"]
    assert "published" not in verdict_table(unpublished["verdicts"])
    names = [trace.name for figure in unpublished["figures"] for trace in figure.data]
    assert not [name for name in names if name and "published" in name]


def test_missing_parts_do_not_stop_the_report(study, published):
    proxies = Proxies(ratio_sets=[[0, 50, 100]])
    concluded = conclude(study, published, iterative=False, proxies=proxies)
    page = Reader(concluded["page"])
    verdicts = page.table("hypothesis", "verdict").set_index("hypothesis")
    assert verdicts.loc["iterative better than mixed training", ["verdict", "difference"]].tolist() == [
        "not judged",
        DASH,
    ]
    assert set(page.table("approach", "nice")["approach"]) == set(concluded["settings"]["approach"]) == {"mixed"}
    assert concluded["law"].empty and not [rows for rows in page.tables if "regret" in rows[0]]
    (sentence,) = law_sentences(concluded["law"])
    assert sentence in page.section("A law of mixing") and sentence in concluded["summary"]


def test_one_seed_is_not_enough_for_any_verdict(unpublished):
    page = Reader(unpublished["page"])
    table = page.table("hypothesis", "verdict")
    assert set(table["verdict"]) <= {"not enough seeds", "not judged"} and "not enough seeds" in set(table["verdict"])
    assert "One seed: nothing here says how much training varies" in page.section("How to read this")


def test_what_is_uncertain_by_images_and_by_seeds_is_shown(concluded):
    shown = Reader(concluded["page"]).table("measure", "by one seed").set_index("measure")
    variances = concluded["variances"].set_index("measure")
    assert shown["by one seed"].to_dict() == {name: f"{value:.3f}" for name, value in variances["seed"].items()}
    assert shown["of the mean"].to_dict() == {name: f"{value:.3f}" for name, value in variances["all"].items()}


def test_the_number_of_seeds_is_given(unpublished, concluded):
    assert seeds_sentence(unpublished["settings"]).startswith("One seed:")
    settings = concluded["settings"]
    assert (settings["trials"] == 3).all()
    assert seeds_sentence(settings).startswith("3 seeds a setting")
    assert seeds_sentence(settings.assign(trials=[1] * 4 + [3] * 2)).startswith("1 to 3 seeds")


def test_the_page_can_be_read_in_a_browser(look_at, study, published):
    look_at(conclude(study, published)["page"])

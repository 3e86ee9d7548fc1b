"""What the iterative-training report says and draws, from accuracies that are known."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.io
import pytest

from mixvision.evaluation.metrics import join_predictions, performance
from mixvision.pipelines.iterative import report
from mixvision.reporting.published import Published, PublishedIterative, read_published
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.style import COLOURS
from mixvision.studies.iterative import figures
from mixvision.studies.iterative.page import IterativeResults, answer, shares_table
from mixvision.studies.iterative.training import Phases
from mixvision.training.config import Training

SHARES = [10, 50, 90]
TOTAL = 1000
# Nice and real accuracy of each share and weights; multiples of a twentieth, so that images can show them exactly.
ACCURACIES = {
    10: {"after_initial": (0.6, 0.1), "last": (0.1, 0.4), "best_validation": (0.2, 0.45), "best_test": (0.2, 0.45)},
    50: {"after_initial": (0.9, 0.1), "last": (0.25, 0.4), "best_validation": (0.5, 0.45), "best_test": (0.5, 0.5)},
    90: {"after_initial": (0.95, 0.4), "last": (0.5, 0.3), "best_validation": (0.8, 0.35), "best_test": (0.8, 0.35)},
}
PUBLISHED = PublishedIterative(
    source="Section 5 of a paper",
    note="From its text.",
    highest_performance=0.45,
    accuracy_at_switch=0.95,
    accuracy_after_200=0.2,
)
REPORT = ReportParameters("Five fruits", bootstrap_draws=200)


def make_trials(shares=SHARES, seeds: int = 1) -> pd.DataFrame:
    rows = [(f"initial-{share:03d}-seed-{seed}", share, seed) for share in shares for seed in range(seeds)]
    trials = pd.DataFrame(rows, columns=["trial", "share", "seed"])
    return trials.assign(begin=trials["share"] * TOTAL // 100, iterations=TOTAL - trials["share"] * TOTAL // 100)


def make_predictions(manifest: pd.DataFrame, trial: str, weights: str, accuracies) -> pd.DataFrame:
    """The first images of each domain and split are right, as many as the accuracy says."""
    held_out = manifest[manifest["split"].isin(["validation", "test"])].copy()
    place = held_out.groupby(["domain", "split"]).cumcount()
    images = held_out.groupby(["domain", "split"])["id"].transform("size")
    right = place < (images * held_out["domain"].map(dict(zip(("nice", "real"), accuracies, strict=True)))).round()
    predictions = pd.DataFrame({"trial": trial, "snapshot": weights, "id": held_out["id"]})
    predictions["prediction_1"] = held_out["category"].where(right, "none")
    return predictions.assign(prediction_2="x", prediction_3="y", probability_1=0.5, probability_2=0.3, probability_3=0)


def make_history(trials: pd.DataFrame, accuracies) -> pd.DataFrame:
    """Straight up to the end of the initial training, then down with a half-life of 25 iterations."""
    rows = []
    for trial in trials.itertuples():
        initial, last = (np.array(accuracies[trial.share][weights]) for weights in ("after_initial", "last"))
        for iteration in range(0, TOTAL + 1, 50):
            left = 0.5 ** ((iteration - trial.begin) / 25)
            point = initial * iteration / trial.begin if iteration <= trial.begin else last + left * (initial - last)
            for split in ("validation", "test"):
                rows.append((trial.trial, iteration, split, *point, performance(*point)))
    return pd.DataFrame(rows, columns=["trial", "iteration", "split", "nice_top1", "real_top1", "performance_top1"])


def make_interpolations(manifest: pd.DataFrame, trials: pd.DataFrame, accuracies) -> pd.DataFrame:
    parts = []
    for trial in trials.itertuples():
        initial, last = (np.array(accuracies[trial.share][weights]) for weights in ("after_initial", "last"))
        for alpha in (0.0, 0.5, 1.0):
            between = (1 - alpha) * initial + alpha * last
            parts.append(make_predictions(manifest, trial.trial, f"alpha_{alpha:.2f}", between))
    return pd.concat(parts, ignore_index=True)


class Run:
    """All that the report's nodes make of one run."""

    def __init__(self, manifest, published=None, first: str = "nice", seeds: int = 1, accuracies=ACCURACIES) -> None:
        self.manifest, self.published, self.phases = manifest, Published(iterative=published), Phases(first)
        self.trials = make_trials(list(accuracies), seeds)
        self.history = make_history(self.trials, accuracies)
        predictions = pd.concat(
            [
                make_predictions(manifest, trial.trial, weights, accuracy)
                for trial in self.trials.itertuples()
                for weights, accuracy in accuracies[trial.share].items()
            ],
            ignore_index=True,
        )
        interpolations = make_interpolations(manifest, self.trials, accuracies)
        joined = join_predictions(predictions, manifest)
        measured = report.measure(
            joined, interpolations, self.history, manifest, self.trials, self.published, self.phases, REPORT
        )
        *tables, self.summary = measured.values()
        self.metrics, self.table, self.clean, self.matrix, self.measures, self.speed, self.by_alpha = tables

    @property
    def results(self) -> IterativeResults:
        parts = (self.measures, self.speed, self.by_alpha, self.published.iterative)
        return IterativeResults(self.phases.first, self.table, None, *parts)

    def figures(self) -> tuple:
        return tuple(self.drawn().values())

    def drawn(self) -> dict:
        return report.draw_curves(
            self.history, self.metrics, self.trials, self.table, self.matrix, self.by_alpha, self.published, self.phases
        )

    def page(self, outcomes: pd.DataFrame) -> str:
        audit = pd.DataFrame({"split": ["train"], "images": [80]})
        return report.write_page(
            self.published,
            self.phases,
            Training(iterations=TOTAL),
            REPORT,
            manifest=self.manifest,
            trials=self.trials,
            outcomes=outcomes,
            split_audit=audit,
            split_summary=audit,
            table=self.table,
            table_without_leaks=self.clean,
            measures=self.measures,
            speed=self.speed,
            interpolations=self.by_alpha,
            **{name.removesuffix("_figure"): figure for name, figure in self.drawn().items()},
        )


@pytest.fixture(scope="module")
def run(study) -> Run:
    return Run(study.manifest, PUBLISHED)


@pytest.fixture
def outcomes() -> pd.DataFrame:
    return pd.DataFrame({"trial": ["initial-010-seed-0"], "status": ["failed"], "reason": ["it diverged."]})


def named(figure) -> dict:
    return {trace.name: trace for trace in figure.data}


def test_the_answer_names_the_best_share_what_it_gained_and_what_it_forgot(run):
    said = answer(run.results)
    assert "90% of the iterations" in said
    assert "performance of 0.529" in said  # root of 0.8 times 0.35
    assert "it was 0.616: the restricted training lowered it by 0.087" in said
    assert "improved performance at 2 of 3 shares" in said
    assert "nice images went from 0.950 to 0.500, half of that loss within 31 iterations" in said


def test_a_gain_is_called_one(study):
    accuracies = {50: ACCURACIES[50]}
    said = answer(Run(study.manifest, accuracies=accuracies).results)
    assert "raised it by 0.174" in said and "1 of 1 shares" in said


def test_the_other_order_forgets_real_images(study):
    run = Run(study.manifest, PUBLISHED, first="real")
    assert "accuracy on real images went from 0.400 to 0.300" in answer(run.results)
    assert run.measures.set_index("share").loc[90, "forgetting"] == pytest.approx(0.1)
    assert "published" not in named(run.figures()[2])  # those numbers are of nice images


def test_the_table_shows_both_trainings_and_the_forgetting(run):
    row = shares_table(run.results).set_index("% initial").loc[90]
    assert row.index[0] == "after_initial"
    assert (row["after_initial"], row["best_validation"], row["last"]) == ("0.616", "0.529", "0.387")
    assert row["forgetting"] == "0.450"
    assert row["95% interval"].count(" to ") == 1


def test_the_summary_holds_the_table_and_the_answer(run):
    assert answer(run.results) in run.summary
    assert "| % initial |" in run.summary


def test_leaks_add_a_column_and_a_sentence(study):
    first = study.manifest["id"].eq(study.manifest.query("split == 'test'")["id"].iloc[0])
    leaking = Run(study.manifest.assign(leaks=first))
    assert "best_validation without leaks" in leaking.summary
    assert "plain random ones" in leaking.summary
    assert "plain random ones" not in Run(study.manifest).summary


def test_several_seeds_show_their_deviation(study):
    run = Run(study.manifest, seeds=2)
    assert "±" in run.summary
    assert "2 seeds" in run.figures()[0].layout.title.subtitle.text


def test_the_page_says_what_the_data_say(run, outcomes):
    page = run.page(outcomes)
    assert answer(run.results) in page
    for phrase in ("Section 5 of a paper", "never above 0.450", "it diverged.", "Backward transfer", "alpha"):
        assert phrase in page


def test_variants_of_the_restricted_training_are_noted(run, outcomes):
    assert "trains only the two fully connected layers." in run.page(outcomes)
    variant = copy(run)
    variant.phases = Phases(trainable="all", replay=20)
    assert "trains all layers, with 20% images of the initial one" in variant.page(outcomes)


def test_nothing_published_leaves_no_trace(study, outcomes):
    run = Run(study.manifest)
    texts = [run.summary, *(figure.to_json() for figure in run.figures())]
    assert not [text for text in texts if "published" in text.lower()]
    assert "Published" not in run.page(outcomes)


def test_what_the_paper_does_not_say_is_left_out(study, outcomes):
    run = Run(study.manifest, PublishedIterative("Section 5 of a paper"))
    texts = [run.summary, *(figure.to_json() for figure in run.figures())]
    assert not [text for text in texts if "published" in text.lower()]
    assert "Published numbers: Section 5 of a paper." in run.page(outcomes)


def test_forgetting_curves_have_a_panel_and_a_switch_for_each_share(run):
    figure = run.figures()[1]
    assert [note.text for note in figure.layout.annotations] == ["10% initial", "50% initial", "90% initial"]
    assert [(line.x0, line.x1) for line in figure.layout.shapes] == [(100, 100), (500, 500), (900, 900)]
    history = run.history[(run.history["split"] == "test") & run.history["trial"].str.startswith("initial-010")]
    nice = figure.data[0]
    assert (nice.name, nice.line.color) == ("nice", COLOURS["nice"])
    assert np.allclose(nice.y, history["nice_top1"])


def test_the_zoom_starts_at_the_switch_and_shows_the_published_fall(run):
    traces = named(run.figures()[2])
    assert list(traces["50%"].x) == list(range(0, figures.FIRST_ITERATIONS + 1, 50))
    assert traces["50%"].y[0] == pytest.approx(0.9)
    assert traces["50%"].y[1] == pytest.approx(0.25 + 0.65 / 4)
    assert (list(traces["published"].x), list(traces["published"].y)) == ([0, 200], [0.95, 0.2])


def test_performance_is_drawn_at_the_end_of_both_trainings(run):
    figure = run.figures()[0]
    initial, _, last = figure.data
    assert np.allclose(initial.y, [performance(*ACCURACIES[share]["after_initial"]) for share in SHARES])
    assert np.allclose(last.y, [performance(*ACCURACIES[share]["last"]) for share in SHARES])
    assert figure.layout.shapes[0].y0 == 0.45


def test_matrices_have_trainings_down_and_domains_across(run):
    middle = run.figures()[3].data[1]
    assert middle.z.tolist() == [[0.9, 0.1], [0.25, 0.4]]
    assert (list(middle.x), list(middle.y)) == (["nice", "real"], ["after initial", "after restricted"])


def test_interpolation_has_a_panel_for_each_domain_and_performance(run):
    figure = run.figures()[4]
    assert [note.text for note in figure.layout.annotations] == list(COLOURS)
    assert len(figure.data) == 3 * len(SHARES)
    assert np.allclose(figure.data[0].y, [0.6, 0.35, 0.1])


def test_every_figure_has_a_title_and_survives_json(run):
    for figure in run.figures():
        assert figure.layout.title.text and figure.layout.title.subtitle.text
        text = figure.to_json()
        assert json.loads(plotly.io.from_json(text).to_json()) == json.loads(text)


def test_no_validation_images_is_refused_with_advice(run):
    blind = replace(run.results, table=run.table.assign(validation_performance_top1=np.nan))
    with pytest.raises(ValueError, match="keep some images"):
        answer(blind)


def test_the_fruits_numbers_are_the_papers(pytestconfig):
    paper = read_published(pytestconfig.rootpath / "conf/fruits/published.yml").iterative
    assert (paper.highest_performance, *paper.forgetting) == (0.45, 0.95, 0.2)


def test_trials_that_diverged_do_not_count_in_the_curves(study):
    """Their histories go on until they do; their predictions are missing."""
    run = Run(study.manifest, seeds=2)
    lost = run.history["trial"] == run.trials["trial"].iloc[-1]
    run.history.loc[lost, ["nice_top1", "real_top1", "performance_top1"]] = 0.0
    run.metrics = run.metrics[run.metrics["trial"] != run.trials["trial"].iloc[-1]]
    sound = Run(study.manifest, seeds=2)
    sound.history = sound.history[~lost]
    drawn, wanted = (run.figures()[1], sound.figures()[1])
    assert drawn.to_json() == wanted.to_json()

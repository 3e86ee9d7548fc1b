"""The report on iterative training, made from known accuracies."""

from __future__ import annotations

import json
import re
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.io
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.evaluation.metrics import join_predictions, performance
from mixvision.pipelines.iterative import report
from mixvision.reporting.published import Published, PublishedIterative, read_published
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.style import COLOURS
from mixvision.reporting.tiles import tiles_by_group
from mixvision.studies.iterative import figures
from mixvision.studies.iterative.page import IterativeResults, answer, shares_table
from mixvision.studies.iterative.training import Phases
from mixvision.training.config import Training

SHARES = [10, 50, 90]
TOTAL = 1000
ALPHAS = (0.0, 0.5, 1.0)
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
REPORT = ReportParameters("Five fruits")


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
        for alpha in ALPHAS:
            between = (1 - alpha) * initial + alpha * last
            parts.append(make_predictions(manifest, trial.trial, f"alpha_{alpha:.2f}", between))
    return pd.concat(parts, ignore_index=True)


LOST = pd.DataFrame({"trial": ["initial-010-seed-0"], "status": ["failed"], "reason": ["it diverged."]})


class Run:
    """Everything that the report's nodes make of one run."""

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
        self.joined = join_predictions(predictions, manifest)
        tables = self.joined, interpolations, self.history, manifest, self.trials, LOST.head(0)
        measured = report.measure(*tables, self.published, self.phases, REPORT)
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
            split_audit=pd.DataFrame(columns=["domain", "category", "train", "test"]),
            split_summary=audit,
            table=self.table,
            table_without_leaks=self.clean,
            measures=self.measures,
            speed=self.speed,
            interpolations=self.by_alpha,
            **dict.fromkeys(("mistakes", "hardest"), Image.new("RGB", (40, 30), "red")),
            **{name.removesuffix("_figure"): figure for name, figure in self.drawn().items()},
        )


@pytest.fixture(scope="module")
def run(study) -> Run:
    return Run(study.manifest, PUBLISHED)


@pytest.fixture(scope="module")
def html(run) -> str:
    return run.page(LOST)


@pytest.fixture(scope="module")
def drawn(run) -> tuple:
    return run.figures()


@pytest.fixture(scope="module")
def unpublished(study) -> Run:
    return Run(study.manifest)


@pytest.fixture(scope="module")
def of_two_seeds(study) -> Run:
    return Run(study.manifest, seeds=2)


def named(figure) -> dict:
    return {trace.name: trace for trace in figure.data}


def test_terms_are_explained(html):
    require_explained_terms(html)


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?%?", text)


def test_the_answer_names_the_best_share_what_it_gained_and_what_it_forgot(run):
    """The stand-ins score on validation images as on test images, so that the best share can be worked out here."""
    reached = {
        snapshot: {share: performance(*ACCURACIES[share][snapshot]) for share in SHARES}
        for snapshot in ("after_initial", "best_validation", "last")
    }
    before, validated = reached["after_initial"], reached["best_validation"]
    share = max(validated, key=validated.get)
    better = [sum(reached[name][each] > before[each] for each in SHARES) for name in ("best_validation", "last")]
    interval = run.table.set_index(["snapshot", "share"]).loc[("best_validation", share)]
    beaten = run.table.query("snapshot == 'best_validation'").set_index("share")["is_beaten"]
    lost = ACCURACIES[share]["after_initial"][0], ACCURACIES[share]["last"][0]
    speed = run.speed.set_index("share").loc[share, "iterations_to_half"]

    sentences = answer(run.results).replace(". ", ".\n").splitlines()
    assert [numbers(sentence) for sentence in sentences] == [
        [f"{share}%", f"{validated[share]:.3f}", "95%"]
        + [f"{interval[f'performance_top1_{end}']:.3f}" for end in ("low", "high")]
        + [f"{accuracy:.3f}" for accuracy in ACCURACIES[share]["best_validation"]],
        [f"{other}%" for other in SHARES if other != share and not beaten[other]],
        [],
        [f"{before[share]:.3f}", f"{before[share] - validated[share]:.3f}"],
        [str(better[0]), str(len(SHARES)), str(better[1])],
        [*(f"{accuracy:.3f}" for accuracy in lost), f"{speed:.0f}"],
    ]
    assert sentences[2] == "Seeds were not looked at: each share was trained with one."
    assert "lowered" in sentences[3] and share == 90


def test_the_answer_says_that_performance_was_raised(study):
    _, change, improved, _ = answer(Run(study.manifest, accuracies={50: ACCURACIES[50]}).results).split(". ")
    before, after, end = (performance(*ACCURACIES[50][name]) for name in ("after_initial", "best_validation", "last"))
    assert "raised" in change and numbers(change) == [f"{before:.3f}", f"{after - before:.3f}"]
    assert after > before and end > before and numbers(improved) == ["1", "1", "1"]


def test_the_other_order_forgets_real_images(study):
    run = Run(study.manifest, PUBLISHED, first="real")
    assert "accuracy on real images went from 0.400 to 0.300" in answer(run.results)
    assert run.measures.set_index("share").loc[90, "forgetting"] == pytest.approx(0.1)
    assert "published" not in named(run.figures()[2])  # those numbers are of nice images


def test_the_table_shows_both_trainings_and_the_forgetting(run):
    row = shares_table(run.results).set_index("% initial").loc[90]
    assert row.index[0] == "after initial training"
    assert tuple(row[["after initial training", "chosen on validation", "end of training"]]) == (
        "0.616",
        "0.529",
        "0.387",
    )
    assert row["forgetting"] == "0.450"
    assert row["95% interval"].count(" to ") == 1


def rows_of(summary: str) -> list[list[str]]:
    """The cells of the summary's table, its heading first, its rule left out."""
    lines = [line.strip("| ") for line in summary.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_the_summary_holds_the_table_and_the_answer(run):
    table = shares_table(run.results)
    heading, *rows = rows_of(run.summary)
    assert heading == list(table) and rows == table.astype("str").to_numpy().tolist()
    assert run.summary.endswith(answer(run.results))


def test_without_leaking_images_performance_is_measured_anew(study, unpublished):
    """The one test image that leaks is a nice one that all models have right."""
    ids = study.manifest.query("split == 'test' and domain == 'nice'")["id"]
    leaking = Run(study.manifest.assign(leaks=study.manifest["id"] == ids.iloc[0]))
    heading, *rows = rows_of(leaking.summary)
    shown = pd.DataFrame(rows, columns=heading).set_index("% initial")["chosen on validation, without leaks"]
    expected = {}
    for share in SHARES:
        nice, real = ACCURACIES[share]["best_validation"]
        expected[str(share)] = f"{performance((nice * len(ids) - 1) / (len(ids) - 1), real):.3f}"
    assert shown.to_dict() == expected
    assert numbers(leaking.summary.split(". ")[-1]) == [expected["90"]]
    whole = unpublished.summary
    assert "without leaks" not in whole and "near-duplicate" not in whole


def test_several_seeds_show_mean_and_deviation(of_two_seeds):
    run = copy(of_two_seeds)
    run.table = run.table.assign(performance_top1_std=0.0123)
    shown = shares_table(run.results).set_index("% initial")["end of training"]
    assert shown[90] == f"{performance(*ACCURACIES[90]['last']):.3f} ± 0.012"
    assert "2 seeds" in run.figures()[0].layout.title.subtitle.text


def test_the_page_shows_the_tables_of_the_run(run, html):
    page = Reader(html)
    assert answer(run.results) in page.section("")
    measures = page.table("% initial", "average accuracy").set_index("% initial")
    speed = page.table("% initial", "iterations to half").set_index("% initial")
    best = page.table("% initial", "alpha").set_index("% initial")
    for share in SHARES:
        initial, last = ACCURACIES[share]["after_initial"], ACCURACIES[share]["last"]
        gain = performance(*last) - performance(*initial)
        assert measures.loc[str(share)].astype("float64").tolist() == pytest.approx(
            [sum(last) / 2, initial[0] - last[0], last[0] - initial[0], gain], abs=6e-4
        )
        assert float(speed.loc[str(share), "accuracy at switch"]) == pytest.approx(initial[0], abs=6e-4)
        between = {alpha: [(1 - alpha) * a + alpha * b for a, b in zip(initial, last, strict=True)] for alpha in ALPHAS}
        alpha = max(between, key=lambda alpha: performance(*between[alpha]))
        expected = [f"{alpha:.2f}", *(f"{value:.3f}" for value in (*between[alpha], performance(*between[alpha])))]
        assert best.loc[str(share)].tolist() == expected


def test_every_share_has_its_measures_by_category_in_each_domain(run, html):
    rows = run.results.table[run.results.table["snapshot"] == "best_validation"].set_index("share")
    shown = Reader(html).table("% initial", "domain", "worst category").set_index(["% initial", "domain"])
    assert len(shown) == 2 * len(SHARES)
    for (share, domain), cells in shown.iterrows():
        row = rows.loc[int(share)]
        measures = ("worst_category", "balanced_accuracy", "macro_f1")
        assert cells.tolist() == [f"{row[f'{domain}_{measure}']:.3f}" for measure in measures]


def test_published_numbers_and_failures_are_on_the_page(html):
    page = Reader(html)
    assert f"never above {PUBLISHED.highest_performance:.3f}" in page.section(
        "Performance by share of the initial training"
    )
    fall = numbers(page.section("Forgetting during training").partition("Published:")[2])[:3]
    assert fall == [f"{accuracy:.3f}" for accuracy in PUBLISHED.forgetting] + ["200"]
    notes = page.section("How to read this")
    assert PUBLISHED.origin in notes and "Missing: initial-010-seed-0 (failed). it diverged." in notes


def test_the_mistakes_of_the_best_share_are_pictures(study, run, html):
    """Also the images that most models get wrong; those that all get wrong have nothing else in common here."""
    section = Reader(html).section("A closer look at the best share, 90% initial")
    assert section.index("Most confident mistakes") < section.index("Hardest images over all models")
    stores = [SimpleNamespace(pixels=pixels) for pixels in study.pixels.values()]
    mistakes, *sheets = report.draw_mistakes(run.table, run.joined, run.trials, *stores, REPORT)
    best = run.joined[run.joined["trial"] == "initial-090-seed-0"].query("split == 'test'")
    best = best[(best["snapshot"] == "best_validation") & ~best["top1"]].set_index("id")
    assert len(mistakes) == 24 and mistakes["prediction"].tolist() == best.loc[mistakes["id"], "prediction_1"].tolist()
    captions = [tile.caption for sheet in sheets for tile in tiles_by_group(sheet)[""]]
    assert captions[0] == [f"is {mistakes['category'][0]}", "said none", f"0.500, {mistakes['domain'][0]}"]
    assert captions[24][2].startswith("3 of 3 wrong, ")


def test_variants_of_the_restricted_training_are_noted(run, html):
    variant = copy(run)
    variant.phases = Phases(trainable="all", replay=20)
    of_variant = variant.page(LOST)
    plain, varied = (Reader(page).section("How to read this") for page in (html, of_variant))
    assert "two fully connected layers" in plain and "20%" not in plain
    assert "all layers" in varied and "20%" in varied
    settings = Reader(of_variant).table("setting", "value").set_index("setting")["value"]
    assert settings[["trainable", "replay", "first"]].tolist() == ["all", "20", "nice"]


def test_nothing_published_leaves_no_trace(unpublished):
    texts = [unpublished.summary, *(figure.to_json() for figure in unpublished.figures())]
    assert not [text for text in texts if "published" in text.lower()]
    assert "Published" not in unpublished.page(LOST)


def test_what_the_paper_does_not_say_is_left_out(study):
    run = Run(study.manifest, PublishedIterative("Section 5 of a paper"))
    texts = [run.summary, *(figure.to_json() for figure in run.figures())]
    assert not [text for text in texts if "published" in text.lower()]
    assert "Published numbers: Section 5 of a paper." in run.page(LOST)


def test_only_published_numbers_are_called_published(study):
    """A highest performance alone does not say whether the restricted training ever helped."""
    run = Run(study.manifest, PublishedIterative("Section 5 of a paper", highest_performance=0.45))
    section = Reader(run.page(LOST)).section("Performance by share of the initial training")
    published = section.partition("Published: ")[2].partition("Performance (top-1)")[0]
    assert numbers(published) == ["0.450"] and "improved" not in published


def test_forgetting_curves_have_a_panel_and_a_switch_for_each_share(run, drawn):
    figure = drawn[1]
    assert [note.text for note in figure.layout.annotations] == ["10% initial", "50% initial", "90% initial"]
    assert [(line.x0, line.x1) for line in figure.layout.shapes] == [(100, 100), (500, 500), (900, 900)]
    history = run.history[(run.history["split"] == "test") & run.history["trial"].str.startswith("initial-010")]
    nice = figure.data[0]
    assert (nice.name, nice.line.color) == ("nice", COLOURS["nice"])
    assert np.allclose(nice.y, history["nice_top1"])


def test_the_zoom_starts_at_the_switch_and_shows_the_published_fall(drawn):
    traces = named(drawn[2])
    assert list(traces["50%"].x) == list(range(0, figures.FIRST_ITERATIONS + 1, 50))
    assert traces["50%"].y[0] == pytest.approx(0.9)
    assert traces["50%"].y[1] == pytest.approx(0.25 + 0.65 / 4)
    assert (list(traces["published"].x), list(traces["published"].y)) == ([0, 200], [0.95, 0.2])


def test_performance_is_drawn_at_the_end_of_both_trainings(drawn):
    figure = drawn[0]
    initial, _, last, *_ = figure.data
    assert np.allclose(initial.y, [performance(*ACCURACIES[share]["after_initial"]) for share in SHARES])
    assert np.allclose(last.y, [performance(*ACCURACIES[share]["last"]) for share in SHARES])
    assert figure.layout.shapes[0].y0 == 0.45


def test_the_performance_has_a_band_and_rings_around_the_shares_not_told_from_the_best(run, drawn):
    traces = named(drawn[0])
    honest = run.table[run.table["snapshot"] == "best_validation"]
    band, count = traces["its 95% interval"], len(honest)
    assert list(band.x) == [*honest["share"], *honest["share"][::-1]]
    assert np.allclose(band.y[:count], honest["performance_top1_high"])
    assert np.allclose(band.y[count:][::-1], honest["performance_top1_low"])
    alike = honest[honest["is_beaten"].eq(False)]
    rings = traces["not told apart from the best"]
    assert dict(zip(rings.x, rings.y, strict=True)) == dict(zip(alike["share"], alike["performance_top1"], strict=True))
    assert 0 < len(alike) < count


def test_matrices_have_trainings_down_and_domains_across(drawn):
    middle = drawn[3].data[1]
    assert middle.z.tolist() == [[0.9, 0.1], [0.25, 0.4]]
    assert (list(middle.x), list(middle.y)) == (["nice", "real"], ["after initial", "after restricted"])


def test_interpolation_has_a_panel_for_each_domain_and_performance(drawn):
    figure = drawn[4]
    assert [note.text for note in figure.layout.annotations] == list(COLOURS)
    assert len(figure.data) == 3 * len(SHARES)
    assert np.allclose(figure.data[0].y, [0.6, 0.35, 0.1])


def test_every_figure_has_a_title_and_survives_json(drawn):
    for figure in drawn:
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


def test_trials_that_diverged_do_not_count_in_the_curves(of_two_seeds):
    """Their histories go on until they do; their predictions are missing."""
    run, sound = copy(of_two_seeds), copy(of_two_seeds)
    lost = run.history["trial"] == run.trials["trial"].iloc[-1]
    numbers = ["nice_top1", "real_top1", "performance_top1"]
    run.history = run.history.assign(**{name: run.history[name].where(~lost, 0.0) for name in numbers})
    sound.history = sound.history[~lost]
    run.metrics = run.metrics[run.metrics["trial"] != run.trials["trial"].iloc[-1]]
    drawn, wanted = (run.figures()[1], sound.figures()[1])
    assert drawn.to_json() == wanted.to_json()


def test_the_page_can_be_read_in_a_browser(look_at, html):
    look_at(html)

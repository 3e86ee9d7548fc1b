"""The page and the summary of the conclusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from mixvision.evaluation.comparisons import FEWEST_SEEDS
from mixvision.evaluation.selection import best_of_each
from mixvision.reporting.category_tables import EXPLANATION, TITLE, category_tables
from mixvision.reporting.formatting import DASH, markdown_table, number
from mixvision.reporting.page import Page, Section, Table, render_page
from mixvision.reporting.published import Published, PublishedMixing
from mixvision.reporting.sections import published_note, settings_section, settings_table
from mixvision.reporting.tables import SETTINGS, comparison_table, snapshot_table
from mixvision.studies.conclusions.statements import NOT_JUDGED, RULES, STATEMENTS

QUESTION = (
    "Is the accuracy on nice (or real) images highest if the training set holds only such images, is the performance "
    "on both best near half and half, and is it better to train on one kind after the other than on a mixture?"
)
ONE_SPLIT = (
    "The images were split once: the claims hold for these training images. Other training images of the same kind may "
    "give other differences; run the study with another ingestion.splits.seed to see."
)
_VERDICTS = ("supported", "refuted", "tied", "undecided")


@dataclass(frozen=True, kw_only=True)
class ConclusionsResults:
    """What the page of the conclusions shows.

    Attributes:
        verdicts: what :func:`mixvision.studies.conclusions.hypotheses.judge_hypotheses` returns.
        settings: ``Evidence.settings`` with ``approach`` and ``value`` as columns.
        metric_table: of mixed training (:func:`mixvision.reporting.tables.metric_table`).
        law: what :func:`mixvision.studies.conclusions.mixing_law.compare_predictions` returns.
        variances: what :func:`mixvision.studies.conclusions.hypotheses.variance_table` returns.
        differences, ratios, approaches: figures of the hypotheses, of the ratios and of both approaches.
        law_fits: figure of the law; None where none was fitted.
        mixing_trials, iterative_trials: both approaches' models.
        proxies: the settings of the law and of the verdicts, by name.
    """

    verdicts: pd.DataFrame
    settings: pd.DataFrame
    metric_table: pd.DataFrame
    law: pd.DataFrame
    variances: pd.DataFrame
    differences: go.Figure
    ratios: go.Figure
    approaches: go.Figure
    law_fits: go.Figure | None
    mixing_trials: pd.DataFrame
    iterative_trials: pd.DataFrame
    proxies: Mapping[str, object]


def conclusions_page(title: str, results: ConclusionsResults, published: Published, notes: Sequence[str] = ()) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that it shows.
        published: the paper's numbers; those of mixing and iterative training are used.
        notes: further footnotes, such as which trials are missing.
    """
    verdicts, settings, law = results.verdicts, results.settings, results.law
    hypotheses = [results.differences, results.ratios]
    judged = [
        Table("Verdicts", verdict_table(verdicts)),
        Table("What makes the difference of two ratios uncertain", uncertainty_table(results.variances)),
    ]
    compared = Table("Test performance of every setting (chosen on validation)", approaches_table(settings))
    fits = Table("Predicted and observed best ratios", law_table(law))
    law_figures = [] if results.law_fits is None else [results.law_fits]
    evidence = [
        Section("The hypotheses", [*verdicts["sentence"], ONE_SPLIT], judged, hypotheses),
        Section(
            "Mixed against iterative training",
            [EXPLANATION],
            [compared, *_category_tables(settings)],
            [results.approaches],
        ),
        _published_section(results.metric_table, published.mixing),
        Section("A law of mixing", law_sentences(law), [fits], law_figures),
    ]
    approaches = {"mixed": results.mixing_trials, "iterative": results.iterative_trials}
    data = [
        *(settings_section(rows, f"The models of {name} training") for name, rows in approaches.items() if len(rows)),
        Section("Settings", tables=[settings_table("Of the verdicts and the law", results.proxies)]),
    ]
    footnotes = [*conclusions_footnotes(settings, published, results.proxies["margin"]), *notes]
    numbers = _key_numbers(verdicts, settings)
    return render_page(Page(_heading(title), QUESTION, answer(verdicts), numbers, evidence, data, footnotes))


def conclusions_summary(title: str, verdicts: pd.DataFrame, settings: pd.DataFrame, law: pd.DataFrame) -> str:
    """Verdicts, sentences and the law's predictions as Markdown."""
    parts = [
        _heading(title),
        QUESTION,
        markdown_table(verdict_table(verdicts)),
        "\n".join(f"- {sentence}" for sentence in verdicts["sentence"]),
        seeds_sentence(settings),
        "A law of mixing, fitted on a few ratios early in training:",
    ]
    parts += [markdown_table(law_table(law))] if len(law) else []
    return "\n\n".join([*parts, " ".join(law_sentences(law))])


def answer(verdicts: pd.DataFrame) -> str:
    """All verdicts in one sentence."""
    parts = [f"{row.hypothesis}: {row.verdict}" for row in verdicts.itertuples()]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def verdict_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Each hypothesis with verdict, estimate and interval as text, and what the published numbers say, if any."""
    shown = pd.DataFrame({"hypothesis": verdicts["hypothesis"], "verdict": verdicts["verdict"]})
    shown["difference"] = verdicts["estimate"].map(_estimate)
    bounds = zip(verdicts["low"], verdicts["high"], strict=True)
    shown["bounds"] = [DASH if pd.isna(low) else f"{_estimate(low)} to {_estimate(high)}" for low, high in bounds]
    shown["seeds"] = verdicts["seeds"].map(_whole)
    shown["seeds to settle it"] = verdicts["seeds_needed"].map(_whole)
    if verdicts["published_estimate"].notna().any():
        ratios = verdicts["hypothesis"] == STATEMENTS["best ratio"]
        texts = [_per_cent if ratio else _estimate for ratio in ratios]
        paper = zip(texts, verdicts["published_verdict"], verdicts["published_estimate"], strict=True)
        shown["published"] = [
            DASH if pd.isna(value) else f"{verdict} ({text(value)})" for text, verdict, value in paper
        ]
    return shown


def uncertainty_table(variances: pd.DataFrame) -> pd.DataFrame:
    """What comes from the test images and what from the seeds, as standard deviations in text."""
    shown = variances[["measure"]].copy()
    shown["by the test images"] = variances["images"].map(number)
    shown["by one seed"] = variances["seed"].map(number)
    shown["seeds"] = variances["seeds"]
    shown["of the mean"] = variances["all"].map(number)
    return shown


def approaches_table(settings: pd.DataFrame) -> pd.DataFrame:
    """Both approaches' settings as text: accuracies, performance, its interval, and the validation performance."""
    columns = ["trials", "nice", "real", "performance", "performance_low", "performance_high", "validation_performance"]
    headings = {"value": "% real, or % initial", "performance_low": "low", "performance_high": "high"}
    headings["validation_performance"] = "on validation images"
    ordered = settings.sort_values(["approach", "value"], ascending=[False, True])  # mixed first
    return ordered[["approach", "value", *columns]].rename(columns=headings)


def law_table(law: pd.DataFrame) -> pd.DataFrame:
    """The cost and the predictions of each fit of the law, as text."""
    if law.empty:
        return pd.DataFrame(columns=["proxies (% real)"])
    return pd.DataFrame(
        {
            "proxies (% real)": law["proxies"],
            "iteration": law["iteration"],
            "steps": law["cost"].map("{:.0%}".format),
            "predicted": law["predicted_best"].map(_per_cent),
            "nearest": law["nearest"].map(_per_cent),
            "observed": law["observed_best"].map(_per_cent),
            "regret": law["regret"].map(number),
            "best proxy": law["regret_of_best_proxy"].map(number),
            "all runs": law["regret_of_all_runs"].map(number),
            "error": law["error"].map(number),
        }
    )


def law_sentences(law: pd.DataFrame) -> list[str]:
    """What the law predicted, how much performance its choice loses, and how to read its table."""
    if law.empty:
        return ["No law was fitted: no set of proxy ratios was trained completely."]
    largest = law[law["proxies"] == law["proxies"].iloc[law["proxies"].str.count(",").argmax()]]
    predictions = [
        f"at iteration {row.iteration} ({row.cost:.0%} of all training steps) {row.predicted_best}% real"
        for row in largest.itertuples()
    ]
    regrets = law[["regret", "regret_of_best_proxy"]].mean()
    return [
        f"Fitted on the ratios {largest['proxies'].iloc[0]}, the law predicts as best: {'; '.join(predictions)}. The "
        f"complete runs of all ratios pick {law['observed_best'].iloc[0]}% on the validation images.",
        "Regret is the highest test performance of any ratio minus that of the trained ratio nearest to the "
        f"prediction. Its mean over the fits is {regrets['regret']:.3f}. It is {regrets['regret_of_best_proxy']:.3f} "
        "for simply taking the best of the same proxies (best proxy), and "
        f"{law['regret_of_all_runs'].iloc[0]:.3f} for training every ratio to the end and picking on the validation "
        "images (all runs).",
        "Each domain's error is floor + (start - floor) · exp(-rate · share of the domain), fitted by bounded least "
        "squares to the accuracies on the validation images at that iteration. The proxies are the ratios used in the "
        "fit, steps is their share of all training steps, and error is the mean absolute difference between predicted "
        "and observed accuracies at the other ratios, at the same iteration.",
    ]


def seeds_sentence(settings: pd.DataFrame) -> str:
    """What the intervals cover, given the number of seeds."""
    fewest, most = int(settings["trials"].min()), int(settings["trials"].max())
    if most == 1:
        return "One seed: nothing here says how much training varies between seeds."
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{seeds} seeds a setting: verdicts and intervals cover the choice of test images and of seeds."


def conclusions_footnotes(settings: pd.DataFrame, published: Published, margin: object) -> list[str]:
    """How the verdicts are reached, and what to be careful about."""
    lines = [
        *(rule.format(margin=margin, fewest=FEWEST_SEEDS) for rule in RULES),
        "Near-duplicates and images of one group count as one. Test images that leak are left out.",
        seeds_sentence(settings),
        "All models are taken at snapshots chosen on validation images: nice and real accuracy each at the one with "
        "the highest accuracy in that domain, performance at the one with the highest performance. So performance is "
        "not the root of the two accuracies beside it.",
    ]
    if published.mixing:
        lines.append(
            "Published verdicts use the published estimate alone, as its spread is not known. Of the study's Figures "
            "8 to 14, only the numbers shown here are available."
        )
    return lines + [published_note(part) for part in (published.mixing, published.iterative) if part]


def _category_tables(settings: pd.DataFrame) -> list[Table]:
    shares = settings["approach"].map({"mixed": SETTINGS["ratio"], "iterative": SETTINGS["share"]})
    named = settings.assign(name=settings["value"].map("{:.0f}".format) + shares)
    ordered = named.sort_values(["approach", "value"], ascending=[False, True])  # mixed first
    return category_tables(ordered, "name", "setting", title=f"{TITLE}, of every setting")


def _published_section(metric_table: pd.DataFrame, published: PublishedMixing | None) -> Section:
    tables = [Table("Performance (top-1) at the three snapshots", comparison_table(metric_table))]
    if not published:
        return Section("Mixed training by ratio", ["There are no published numbers for these images."], tables)
    text = [
        f"Published: {published.source}. It picks the best iteration on the test images, so it compares with "
        "ours chosen on test."
    ]
    tables.insert(0, Table("Chosen on test, and the published numbers", snapshot_table(metric_table, "best_test")))
    return Section("Comparison with the published table", text, tables)


def _key_numbers(verdicts: pd.DataFrame, settings: pd.DataFrame) -> list[tuple[str, str]]:
    judged = verdicts["verdict"][verdicts["verdict"] != NOT_JUDGED]
    numbers = [(str((judged == verdict).sum()), f"of {len(judged)} claims {verdict}") for verdict in _VERDICTS]
    best = best_of_each(settings, "approach", "validation_performance").set_index("approach")
    meanings = {"mixed": "% real", "iterative": "% initial"}
    for approach, row in best.sort_index(ascending=False).iterrows():
        numbers.append(
            (number(row["performance"]), f"best {approach} performance (at {row['value']:.0f}{meanings[approach]})")
        )
    return numbers


def _heading(title: str) -> str:
    return f"{title}: conclusions"


def _estimate(value: float) -> str:
    return DASH if pd.isna(value) else f"{value:+.3f}"


def _whole(value: float) -> str:
    return DASH if pd.isna(value) else f"{value:.0f}"


def _per_cent(value: float) -> str:
    return DASH if pd.isna(value) else f"{value:.0f}%"

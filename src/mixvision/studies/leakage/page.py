"""The page of the leakage study: how much a plain random split flatters the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.reporting.category_tables import EXPLANATION
from mixvision.reporting.formatting import interval, markdown_table, number
from mixvision.reporting.image_tables import image_counts
from mixvision.reporting.names import plain_name
from mixvision.reporting.page import Page, Section, Table, render_page
from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import audit_section, intervals_note, mistake_pictures, settings_section
from mixvision.vocabulary import CATEGORY_MEASURES

QUESTION = (
    "A plain random split ignores near-duplicates and groups, so a network may be tested on images that it has almost "
    "seen in training. How much higher are the accuracies that such a split reports?"
)
INDEPENDENCE = (
    "Both test sets are drawn from the same images and share some of them. The interval of the difference treats them "
    "as independent; it also covers that they show different objects, some easier than others."
)


@dataclass(frozen=True, kw_only=True)
class LeakageResults(StudyResults):
    """What the page of the leakage study shows; trials and outcomes are those of the plain split.

    Attributes:
        plain_manifest: one row per image, with the plain split.
        method: how the study splits its images, "grouped" or "published".
        comparison: what :func:`mixvision.studies.leakage.comparison.compare_accuracies` returns.
        accuracy: figure of all ratios.
        mistakes, hardest: contact sheets of the plain split's test images; the mistakes are those of its best ratio.
    """

    plain_manifest: pd.DataFrame
    method: str
    comparison: pd.DataFrame
    accuracy: go.Figure
    mistakes: Image.Image
    hardest: Image.Image


def leakage_page(title: str, results: LeakageResults, notes: Sequence[str] = ()) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that it shows.
        notes: further footnotes, such as which trainings failed.
    """
    method, comparison = results.method, results.comparison
    accuracies = accuracy_table(comparison, method)
    shown = Table("Test accuracy (top-1), chosen on validation", accuracies)
    text = [best_ratio_sentence(comparison, method), *left_out_sentences(comparison, method)]
    by_category = Table("By category, test images", category_table(comparison, method))
    evidence = [
        Section("Accuracy under both splits", [*text, EXPLANATION], [shown, by_category], [results.accuracy]),
        Section(
            f"What goes wrong on the plain split, {best_on_plain_split(comparison)}% real",
            [
                "Test images of the plain split; of its best ratio the snapshot chosen on validation, all seeds "
                f"together. The page of mixing shows the mistakes under the {method} split."
            ],
            pictures=mistake_pictures(results.mistakes, results.hardest),
        ),
    ]
    data = [
        Section(
            "The images",
            [f"The plain split has the same shares and the same seed as the {method} one."],
            [
                Table("Test images that are compared", compared_images_table(comparison, method)),
                Table(f"Images by domain, {method} split", image_counts(results.manifest)),
                Table("Images by domain, plain split", image_counts(results.plain_manifest)),
            ],
        ),
        audit_section(results),
        settings_section(results.trials),
    ]
    numbers = _key_numbers(comparison, method)
    summary = answer(comparison, method)
    footnotes = [intervals_note(comparison), INDEPENDENCE, *notes]
    return render_page(Page(f"{title}: leakage", QUESTION, summary, numbers, evidence, data, footnotes))


def leakage_summary(title: str, results: LeakageResults) -> str:
    """The table and its sentences as Markdown."""
    comparison, method = results.comparison, results.method
    sentences = [
        answer(comparison, method),
        best_ratio_sentence(comparison, method),
        *left_out_sentences(comparison, method),
    ]
    table = markdown_table(accuracy_table(comparison, method))
    return "\n\n".join([_heading(title), QUESTION, table, " ".join(sentences)])


def answer(comparison: pd.DataFrame, method: str) -> str:
    """Each domain's accuracy under both splits at the ratio that the plain one prefers, and whether they differ."""
    rows = list(comparison[comparison["plain_best"]].itertuples())
    above = (comparison["difference_low"] > 0).groupby(comparison["domain"]).agg(["sum", "size"])
    leaking = [
        f"{row.plain_leaks:.0%} of the {row.domain} ones leak (the difference is above 0 at "
        f"{above['sum'][row.domain]} of {above['size'][row.domain]} ratios)"
        for row in rows
    ]
    return (
        f"At {rows[0].ratio}% real, its best ratio, a plain random split reports an accuracy of "
        f"{', and '.join(_flattered(row, method) for row in rows)}. Of its test images, {' and '.join(leaking)}."
    )


def _flattered(row: Any, method: str) -> str:
    verdict = "the test images cannot tell them apart"
    if row.difference_low > 0:
        verdict = f"the plain split flatters by {number(row.difference)}"
    elif row.difference_high < 0:
        verdict = f"the plain split does not flatter, but is {number(-row.difference)} lower"
    return (
        f"{number(row.plain_top1)} on {row.domain} test images, where the {method} split reports "
        f"{number(row.used_top1)} ({verdict}; 95% interval of the difference {row.difference_low:+z.3f} to "
        f"{row.difference_high:+z.3f})"
    )


def best_on_plain_split(comparison: pd.DataFrame) -> int:
    """The ratio that the plain split's validation images prefer."""
    return int(comparison.loc[comparison["plain_best"], "ratio"].iloc[0])


def best_ratio_sentence(comparison: pd.DataFrame, method: str) -> str:
    """Whether both splits lead to the same mixture."""
    best, plain_best = (comparison.loc[comparison[f"{side}_best"], "ratio"].iloc[0] for side in ("used", "plain"))
    if best == plain_best:
        return f"The best ratio, picked on the validation images, is {best}% real under both splits."
    return (
        f"The best ratio, picked on the validation images, is {best}% real under the {method} split, and {plain_best}% "
        "real under the plain one."
    )


def left_out_sentences(comparison: pd.DataFrame, method: str) -> list[str]:
    """Which categories are not compared; none if all are."""
    domains = comparison.drop_duplicates("domain")
    names = [f"{row.left_out} ({row.domain})" for row in domains.itertuples() if row.left_out]
    if not names:
        return []
    return [
        f"Not compared, because the {method} or the plain split has no test images of them: {'; '.join(names)}. They "
        "count in no number of the comparison."
    ]


def accuracy_table(comparison: pd.DataFrame, method: str) -> pd.DataFrame:
    """Both accuracies of every ratio and domain and their difference, with intervals, as text."""
    shown = {"% real": comparison["ratio"], "domain": comparison["domain"]}
    for side, name in (("used", method), ("plain", "plain")):
        shown[f"{name} split"] = comparison[f"{side}_top1"].map(number)
        shown[f"95% interval, {name}"] = _intervals(comparison, side)
    shown["difference"] = comparison["difference"].map(lambda value: f"{value:+z.3f}")
    bounds = zip(comparison["difference_low"], comparison["difference_high"], strict=True)
    shown["its 95% interval"] = [f"{low:+z.3f} to {high:+z.3f}" for low, high in bounds]
    return pd.DataFrame(shown)


def category_table(comparison: pd.DataFrame, method: str) -> pd.DataFrame:
    """The measures by category of every ratio and domain, a row for each split, as text."""
    shown = [
        pd.DataFrame(
            {
                "% real": comparison["ratio"],
                "domain": comparison["domain"],
                "split": name,
                **{plain_name(measure): comparison[f"{side}_{measure}"].map(number) for measure in CATEGORY_MEASURES},
            }
        )
        for side, name in (("used", method), ("plain", "plain"))
    ]
    return pd.concat(shown).sort_index(kind="stable").reset_index(drop=True)


def compared_images_table(comparison: pd.DataFrame, method: str) -> pd.DataFrame:
    """How many test images of each domain are compared, how many components they form, and how many of them leak."""
    domains = comparison.drop_duplicates("domain")
    shown = [
        pd.DataFrame(
            {
                "domain": domains["domain"],
                "split": name,
                "categories": domains["categories"],
                "test images": domains[f"{side}_images"],
                "components": domains[f"{side}_components"],
                "leak": domains[f"{side}_leaks"].map(lambda share: f"{share:.1%}"),
            }
        )
        for side, name in (("used", method), ("plain", "plain"))
    ]
    return pd.concat(shown).sort_values("domain", kind="stable", ignore_index=True)


def _intervals(comparison: pd.DataFrame, side: str) -> list[str]:
    bounds = zip(comparison[f"{side}_low"], comparison[f"{side}_high"], strict=True)
    return [interval(*pair) for pair in bounds]


def _heading(title: str) -> str:
    return f"{title}: what a plain random split would have reported"


def _key_numbers(comparison: pd.DataFrame, method: str) -> list[tuple[str, str]]:
    rows = comparison[comparison["plain_best"]]
    numbers = [(f"{rows['ratio'].iloc[0]}%", "real images in the best training set, plain split")]
    for row in rows.itertuples():
        numbers += [
            (number(row.plain_top1), f"its {row.domain} accuracy, plain split"),
            (number(row.used_top1), f"its {row.domain} accuracy, {method} split"),
        ]
    return numbers

"""The page of the comparison: is mixing enough?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.reporting.category_tables import EXPLANATION, category_tables
from mixvision.reporting.formatting import interval, listed, markdown_table, number, with_spread
from mixvision.reporting.page import Page, Section, Table, render_page
from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import (
    audit_section,
    excluded_section,
    intervals_note,
    mistake_pictures,
    settings_section,
)
from mixvision.reporting.tables import distances
from mixvision.reporting.ties import alone_sentence, marks_text
from mixvision.reporting.verdicts import in_words
from mixvision.studies.alternatives.arms import MIX
from mixvision.studies.alternatives.tables import Claim, best_arm, tied_arms

QUESTION = (
    "Is mixing enough? The same network is trained with equally many steps on equally large batches: on mixes of a "
    "fixed size, on all nice images and more and more real ones, with methods that treat the two domains differently, "
    "and on nice images first and real ones after them."
)
MOST_NAMED = 5
METHODS = (
    "Fixed-size mixes leave out a nice image for every real one. All other arms have every nice image.",
    "Balanced batches hold as many nice as real images. Weights by domain let both domains count alike in the loss.",
    "Statistics by domain: all weights are shared, but each domain is normalised by its own moving statistics (Chang "
    "et al., 2019). Such a network must be told the domain of an image.",
    "Group DRO gives the domain with the higher loss more weight (Sagawa et al., 2020); the number is its step size.",
    "CORAL makes the features of both domains vary alike (Sun and Saenko, 2016); the number is its strength.",
    "Fine-tuned: trained on nice images for the first part of the iterations, then on real ones. Replayed: the second "
    "training also has nice images, so many per cent. Head only: it changes the two fully connected layers alone.",
    "EWC, elastic weight consolidation (Kirkpatrick et al., 2017), holds weights that mattered for nice images; LwF, "
    "learning without forgetting (Li and Hoiem, 2016), holds the answers of the first training to the new images. The "
    "numbers are their strengths.",
    "Statistics by domain, group DRO and CORAL have balanced batches.",
)


@dataclass(frozen=True, kw_only=True)
class AlternativesResults(StudyResults):
    """What the page shows.

    Attributes:
        table: what :func:`mixvision.studies.alternatives.tables.arms_table` returns.
        claim: what :func:`mixvision.studies.alternatives.tables.judge_claim` returns.
        forgetting: what :func:`mixvision.studies.alternatives.tables.forgetting_table` returns.
        performance, real_images, replay: the figures.
        mistakes, hardest: the contact sheets.
    """

    table: pd.DataFrame
    claim: Claim | None
    forgetting: pd.DataFrame
    performance: go.Figure
    real_images: go.Figure
    replay: go.Figure
    mistakes: Image.Image
    hardest: Image.Image


def alternatives_page(title: str, results: AlternativesResults, notes: Sequence[str] = ()) -> str:
    """The whole report as one HTML page."""
    table = results.table
    best, tied = best_arm(table)["arm"], tied_arms(table)
    shown = Table(
        "All arms on the test images, chosen on validation",
        shown_table(table),
        highlighted_row=list(table["arm"]).index(best),
        tied_rows=[row for row, arm in enumerate(table["arm"]) if arm in tied],
    )
    evidence = [
        Section("All arms", [marks_text("arm", best, tied)], [shown], [results.performance]),
        Section("Accuracy by category", [EXPLANATION], category_tables(table, "arm", "arm")),
        Section("Real images beside all nice ones", figures=[results.real_images]),
        _forgetting_section(results),
        Section(
            f"A closer look at the best arm, {best}",
            ["Test images, snapshot chosen on validation, all seeds of this arm together."],
            pictures=mistake_pictures(results.mistakes, results.hardest),
        ),
    ]
    data = [audit_section(results), excluded_section(results.manifest), settings_section(results.trials)]
    footnotes = [*METHODS, intervals_note(table), *notes]
    numbers = key_numbers(table, results.claim)
    answered = answer(table, results.claim)
    return render_page(Page(f"{title}: alternatives", QUESTION, answered, numbers, evidence, data, footnotes))


def alternatives_summary(title: str, table: pd.DataFrame, claim: Claim | None) -> str:
    """The question, all arms and the answer as Markdown."""
    heading = f"{title}: alternatives to mixing"
    return "\n\n".join([heading, QUESTION, markdown_table(shown_table(table)), answer(table, claim)])


def answer(table: pd.DataFrame, claim: Claim | None) -> str:
    """The best arm by its unbiased result, the best mix, and whether an alternative is certainly better."""
    best = best_arm(table)
    sentences = [f"Best on the validation images: {_described(best)}."]
    others = [arm for arm in tied_arms(table) if arm != best["arm"]]
    if others:
        named = listed(others) if len(others) <= MOST_NAMED else f"{len(others)} of the {len(table) - 1} other arms"
        sentences.append(f"These test images and seeds cannot tell it from {named}.")
    elif len(table) > 1:
        sentences.append(alone_sentence("arm"))
    if best["approach"] != MIX and (table["approach"] == MIX).any():
        sentences.append(f"The best mix: {_described(best_arm(table, MIX))}.")
    return " ".join([*sentences, *([] if claim is None else [claim_sentence(claim)])])


def claim_sentence(claim: Claim) -> str:
    """The verdict on "an alternative is better than every fixed-size mix"."""
    return (
        f"Is an alternative better than every fixed-size mix? On the test images {claim.alternative} leads the "
        f"alternatives, and {claim.mix} the mixes. {in_words(claim.estimate, claim.verdict, claim.seeds)}"
    )


def shown_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table of all arms as text."""
    shown = table[["arm", "approach"]].copy()
    shown["nice images"], shown["real images"] = table["nice_images"], table["real_images"]
    for measure in ("nice", "real", "performance"):
        shown[measure] = with_spread(table, f"{measure}_top1")
    bounds = zip(table["performance_top1_low"], table["performance_top1_high"], strict=True)
    shown["95% interval"] = [interval(*pair) for pair in bounds]
    shown["behind the best"] = distances(table)
    return shown


def key_numbers(table: pd.DataFrame, claim: Claim | None) -> list[tuple[str, str]]:
    best = best_arm(table)
    numbers = [(str(best["arm"]), "is best on the validation images")]
    numbers.append((number(best["performance_top1"]), "its performance (top-1)"))
    if (table["approach"] == MIX).any():
        numbers.append((number(best_arm(table, MIX)["performance_top1"]), "performance of the best fixed-size mix"))
    if claim is not None:
        numbers.append((claim.verdict.verdict, "an alternative is better than every mix"))
    return [*numbers, (f"{len(table)}", "arms"), (f"{int(table['trials'].max())}", "seeds of each")]


def _forgetting_section(results: AlternativesResults) -> Section:
    headings = {
        "arm": "arm",
        "nice_before": "nice, before",
        "nice_after": "nice, after",
        "forgetting": "forgotten",
        "real_before": "real, before",
        "real_after": "real, after",
        "forward_transfer": "forward transfer",
    }
    shown = results.forgetting[list(headings)].rename(columns=headings)
    text = [
        "Before and after: the second training. Forgotten is what nice accuracy lost in it (Chaudhry et al., 2018); "
        "forward transfer is real accuracy before any real image was seen, minus that of guessing (Lopez-Paz and "
        "Ranzato, 2017). End of training, means over the seeds."
    ]
    return Section("First nice, then real images", text, [Table("What is kept", shown)], [results.replay])


def _described(row: pd.Series) -> str:
    return (
        f"{row['arm']}, with a test performance of {number(row['performance_top1'])} (95% interval "
        f"{number(row['performance_top1_low'])} to {number(row['performance_top1_high'])}), nice "
        f"{number(row['nice_top1'])} and real {number(row['real_top1'])}"
    )

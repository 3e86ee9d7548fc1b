"""Sections and notes that the pages of several studies share."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from PIL import Image

from mixvision.reporting.formatting import setting_value
from mixvision.reporting.image_tables import excluded_files, image_counts
from mixvision.reporting.names import plain_name
from mixvision.reporting.page import Picture, Section, Table
from mixvision.reporting.published import PublishedSection
from mixvision.reporting.results import StudyResults
from mixvision.reporting.tables import trial_settings
from mixvision.vocabulary import HELD_OUT, MISSING

INTERVALS = (
    "The 95% intervals cover the choice of test images, where near-duplicates and images of one group count together, "
    "but not how training varies: score intervals (Wilson's) with Student's quantiles where there are few such groups."
)
INTERVALS_OVER_SEEDS = (
    "The 95% intervals cover the choice of test images, where near-duplicates and images of one group count together, "
    "and how training varies between seeds: score intervals (Wilson's) with Student's quantiles for so few."
)


def intervals_note(table: pd.DataFrame) -> str:
    """What the intervals of a table of metrics cover (``trials``: how many seeds)."""
    return INTERVALS_OVER_SEEDS if (table["trials"] > 1).any() else INTERVALS


def seeds_note(table: pd.DataFrame, by: str) -> str:
    """How many seeds the numbers of each ratio, or share, rest on, and what follows from that (table: ``trials``)."""
    if (table["trials"] > 1).any():
        return (
            f"± is the standard deviation over the seeds of a {by}; how far a {by} is behind the best one is taken "
            "seed by seed, and its interval covers the seeds, too."
        )
    return (
        f"Each {by} is trained once, with one seed. So the intervals, and what cannot be told apart, do not cover how "
        f"training varies: with another seed another {by} may be best."
    )


def mistake_pictures(mistakes: Image.Image, hardest: Image.Image, images: str = "Test images") -> list[Picture]:
    """The best model's most confident mistakes, and the images that are hardest for all models."""
    return [
        confident_picture(mistakes, images),
        Picture(
            "Hardest images over all models",
            hardest,
            f"{images} that most models get wrong, each with its true category, the most frequent wrong answer, and "
            "how many models are wrong.",
        ),
    ]


def confident_picture(mistakes: Image.Image, images: str) -> Picture:
    """The most confident mistakes on some images, such as "Test images"."""
    description = (
        f"{images} with a wrong prediction of high probability, each with its true category, the predicted one, the "
        "probability and the domain."
    )
    return Picture("Most confident mistakes", mistakes, description)


def audit_section(results: StudyResults) -> Section:
    """The split audit's tables, and which categories are not tested."""
    tables = [Table("Findings", results.split_summary), Table("By domain and category", results.split_audit)]
    return Section("Split audit", untested_notes(results.split_audit), tables)


def untested_notes(split_audit: pd.DataFrame) -> list[str]:
    """A note on the categories that a domain has for training, but not for testing; none if there are none.

    Args:
        split_audit: one row per domain and category, with the number of its images in every split.
    """
    untested = split_audit[(split_audit["train"] > 0) & (split_audit["test"] == 0)]
    if untested.empty:
        return []
    names = ", ".join(f"{row.category} ({row.domain})" for row in untested.itertuples())
    return [
        f"Trained on, but not tested: {names}. There, groups or near-duplicates leave no other images for testing, and "
        "the accuracies do not count this category."
    ]


def excluded_section(manifest: pd.DataFrame) -> Section:
    """How many files were excluded for each reason, and the list of them."""
    files = excluded_files(manifest)
    kinds = files["reason"].str.split(":").str[0]  # "exact duplicate: of nice/apple/1.jpg"
    reasons = files.groupby(kinds).size().sort_values(ascending=False).rename("files").reset_index()
    return Section("Excluded files", tables=[Table("By reason", reasons), Table("Each file", files)])


def settings_section(trials: pd.DataFrame, title: str = "Trial settings") -> Section:
    """The settings that all trials share, and a table of those in which they differ."""
    shared, differing = trial_settings(trials)
    return Section(title, tables=[Table("Shared by all trials", shared), Table("Each trial", differing)])


def settings_table(title: str, settings: Mapping[str, object]) -> Table:
    """One row per setting, such as "learning_rate" or "training, l2", by plain names."""
    names = [", ".join(map(plain_name, name.split(", "))) for name in settings]
    return Table(title, pd.DataFrame({"setting": names, "value": list(map(setting_value, settings.values()))}))


def published_note(published: PublishedSection) -> str:
    """Where the published numbers come from, and what to know about them (source and note)."""
    return f"Published numbers: {published.origin}"


def snapshot_note(manifest: pd.DataFrame, every: int, training: str) -> str:
    """Which states of the networks the snapshots are chosen from, and on how many images."""
    counts = image_counts(manifest).set_index("domain")
    validation, test = (
        " and ".join(f"{count:,} {domain}" for domain, count in counts[split].items() if count) for split in HELD_OUT
    )
    return (
        f"Each network is evaluated after every {every:,} iterations of {training} and at its end. The snapshot with "
        f"the highest performance on the validation images ({validation}) is chosen on validation, the one with the "
        f"highest on the test images ({test}) is chosen on test; ties go to the earliest."
    )


def missing_notes(outcomes: pd.DataFrame) -> list[str]:
    """A note for every trial without a result, which says why; none if there are none.

    Args:
        outcomes: one row per trial: ``trial``, ``status``, ``reason``.
    """
    missing = outcomes[outcomes["status"].isin(MISSING)]
    return [f"Missing: {row.trial} ({row.status}). {row.reason}" for row in missing.itertuples()]

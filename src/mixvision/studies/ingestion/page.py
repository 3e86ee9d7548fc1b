"""The page of the ingestion: what was found, left out and divided, so that a person decides whether to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from mixvision.images.splits import STRATUM
from mixvision.reporting.contact_sheets import cluster_sheet, excluded_sheet, sample_sheet
from mixvision.reporting.image_tables import excluded_files, image_counts, image_dimensions
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.sections import untested_notes
from mixvision.vocabulary import DOMAINS, SPLITS

QUESTION = (
    "Are these the images that you mean, in the right categories, and are there enough of them to train and to test?"
)
FEW_TO_TEST = 10  # images of a category: each is worth 10 percentage points of its accuracy
MUCH_EXCLUDED = 0.2  # of a category's files
UNITS = {"cluster": ("clusters", "largest_cluster"), "component": ("components", "largest_component")}
CATEGORIES_SHOWN, CLUSTERS_SHOWN, EXCLUDED_SHOWN = 60, 24, 36


@dataclass(frozen=True, kw_only=True)
class IngestionResults:
    """What the page shows.

    Attributes:
        manifest: one row per file, with the splits.
        excluded_counts: columns domain, kind (of reason), files; with folders that the mapping leaves out.
        split_audit, split_summary: what the audit of the splits counted, by category and in all.
        split_leaks: what leaks, one row per image and kind.
    """

    manifest: pd.DataFrame
    excluded_counts: pd.DataFrame
    split_audit: pd.DataFrame
    split_summary: pd.DataFrame
    split_leaks: pd.DataFrame


@dataclass(frozen=True)
class Sheets:
    """The pictures of the page.

    Attributes:
        samples: random images of every category and domain.
        excluded: images that were left out.
        clusters: near-duplicates, side by side.
    """

    samples: Image.Image
    excluded: Image.Image
    clusters: Image.Image


def draw_sheets(manifest: pd.DataFrame, pixels: Mapping[str, np.ndarray], generator: np.random.Generator) -> Sheets:
    """Draw the contact sheets.

    Args:
        manifest: one row per file.
        pixels: per domain, uint8 (N, S, S, 3), indexed by the manifest's ``pixel_row``.
        generator: chooses the samples.
    """
    shown = manifest[manifest["category"].isin(_categories(manifest)[:CATEGORIES_SHOWN])]
    return Sheets(
        sample_sheet(shown, pixels, generator, images_per_category=8),
        excluded_sheet(manifest, pixels, EXCLUDED_SHOWN),
        cluster_sheet(manifest, pixels, CLUSTERS_SHOWN),
    )


def ingestion_page(title: str, results: IngestionResults, sheets: Sheets) -> str:
    """The page as HTML.

    Args:
        title: of the study.
        results: the tables.
        sheets: the pictures.
    """
    manifest = results.manifest
    evidence = [
        Section("Before you train", points(results) or ["Nothing unusual was found."]),
        _images_section(results, sheets),
        _excluded_section(results, sheets),
        _clusters_section(manifest, sheets),
    ]
    data = [
        Section("Sizes", tables=[Table("Width and height in pixels, upright", image_dimensions(manifest), 40)]),
        *_assumed_sections(manifest),
        Section(
            "Splits",
            untested_notes(results.split_audit),
            [
                Table("Images by domain", image_counts(manifest)),
                Table("Findings of the audit", results.split_summary),
                Table("What leaks", results.split_leaks, 50),
            ],
        ),
    ]
    page = Page(f"{title}: ingestion", QUESTION, answer(results), _numbers(results), evidence, data)
    return render_page(page)


def answer(results: IngestionResults) -> str:
    """How many files can be used, in a sentence."""
    manifest = results.manifest
    kept, found = (manifest["status"] == "kept").sum(), len(manifest)
    categories = len(_categories(manifest))
    remarks = len(points(results))
    look = {0: "Nothing unusual was found.", 1: "One point needs a look."}.get(
        remarks, f"{remarks} points need a look."
    )
    return f"{kept:,} of {found:,} files can be used, in {categories} categories. {look}"


def points(results: IngestionResults) -> list[str]:
    """What a person should look at before training, the worst first; empty if nothing is unusual."""
    manifest, audit = results.manifest, results.split_audit
    found = [
        _named(f"Fewer than {FEW_TO_TEST} test images, so that accuracies are very uncertain",
               audit[(audit["test"] > 0) & (audit["test"] < FEW_TO_TEST)]),
        *untested_notes(audit),
        _named(
            "All images are near-duplicates or of one group, as if a single object had been photographed",
            audit[audit["single_object"]],
        ),
        _named(f"More than {MUCH_EXCLUDED:.0%} of the files were left out", _much_excluded(manifest)),
    ]  # fmt: skip
    if len(results.split_leaks):
        leaking = results.split_leaks["id"].nunique()
        found.append(
            f"{leaking:,} held-out images leak: copies of them or others of their group are in training, or, of test "
            "images, in validation."
        )
    assumed = ((manifest["assumed"] != "") & (manifest["status"] == "kept")).sum()
    if assumed:
        found.append(f"Files that leave the range of their values open: {assumed:,}. See whether they look right.")
    return [point for point in found if point]


def _named(what: str, rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    names = [f"{row.category} ({row.domain})" for row in rows.head(12).itertuples()]
    return f"{what}: {', '.join(names)}{', ...' if len(rows) > len(names) else ''}."


def _much_excluded(manifest: pd.DataFrame) -> pd.DataFrame:
    placed = manifest[manifest["category"] != ""]
    share = (placed["status"] == "excluded").groupby([placed[name] for name in STRATUM]).mean()
    kept = (placed["status"] == "kept").groupby([placed[name] for name in STRATUM]).any()
    return share[(share > MUCH_EXCLUDED) & kept].reset_index()


def _categories(manifest: pd.DataFrame) -> list[str]:
    return sorted(manifest.loc[manifest["status"] == "kept", "category"].unique())


def _numbers(results: IngestionResults) -> list[tuple[str, str]]:
    manifest = results.manifest
    kept = manifest[manifest["status"] == "kept"]
    domains = [domain for domain in DOMAINS if (manifest["domain"] == domain).any()]
    by_domain = [(f"{(kept['domain'] == domain).sum():,}", f"{domain} images") for domain in domains]
    together = kept.loc[kept["cluster"].duplicated(keep=False), "id"].nunique()
    return [
        *by_domain,
        (f"{len(manifest) - len(kept):,}", "files left out"),
        (f"{together:,}", "images with a near-duplicate"),
        (f"{results.split_leaks['id'].nunique():,}", "held-out images that leak"),
    ]


def _images_section(results: IngestionResults, sheets: Sheets) -> Section:
    categories = len(_categories(results.manifest))
    text = [f"The first {CATEGORIES_SHOWN} of {categories} categories."] if categories > CATEGORIES_SHOWN else []
    samples = Picture(
        "Random images of every category, as they are stored", sheets.samples,
        "Random images of every category in each domain."
    )  # fmt: skip
    counts = Table("Images of every category", _counts(results.split_audit))
    return Section("The images", text, [counts], pictures=[samples])


def _counts(audit: pd.DataFrame) -> pd.DataFrame:
    """The audit's columns that fit a page: components only where they are not the clusters; the rest is in points."""
    grouped = not audit["components"].equals(audit["clusters"])
    units = [*UNITS["cluster"], *(UNITS["component"] if grouped else ())]
    return audit[[*STRATUM, "images", *units, *SPLITS, "leaks"]].rename(columns=lambda name: name.replace("_", " "))


def _excluded_section(results: IngestionResults, sheets: Sheets) -> Section:
    text = ["Files that cannot be decoded have no picture; the table names each with its reason."]
    tables = [Table("By reason", results.excluded_counts), Table("Each file", excluded_files(results.manifest))]
    picture = Picture("Images that were left out", sheets.excluded, "Images that could be decoded but were left out.")
    decoded = (results.manifest["status"] == "excluded") & (results.manifest["pixel_row"] >= 0)
    return Section("What was left out", text, tables, pictures=[picture] if decoded.any() else [])


def _clusters_section(manifest: pd.DataFrame, sheets: Sheets) -> Section:
    kept = manifest[manifest["status"] == "kept"]
    sizes = kept.groupby("cluster").size()
    count = int((sizes > 1).sum())
    shown = f", of which the {CLUSTERS_SHOWN} largest are shown" if count > CLUSTERS_SHOWN else ""
    number = f"{count:,} cluster{'s' * (count != 1)}{shown}."
    divided = int((kept.groupby("cluster")["split"].nunique() > 1).sum())
    text = [f"{number} Divided between splits: {divided:,}."]
    picture = Picture(
        "Near-duplicates side by side", sheets.clusters, "The images of each cluster, one cluster after the other."
    )
    return Section("Near-duplicates", text, pictures=[picture] if count else [])


def _assumed_sections(manifest: pd.DataFrame) -> Sequence[Section]:
    kept = manifest[(manifest["assumed"] != "") & (manifest["status"] == "kept")]
    if kept.empty:
        return []
    counts = kept.groupby("assumed").agg(images=("id", "size"), example=("id", "first")).reset_index()
    table = Table("Assumptions", counts.sort_values("images", ascending=False, ignore_index=True))
    return [Section("What had to be assumed", ["Where a file does not say what its values mean."], [table])]

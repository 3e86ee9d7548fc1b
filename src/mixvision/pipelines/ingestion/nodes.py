"""Nodes of the ingestion pipeline."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.images import audit, manifest
from mixvision.images.categories import Categories
from mixvision.images.decoding import Decoding
from mixvision.images.duplicates import Duplicates
from mixvision.images.leaks import list_leaks
from mixvision.images.outliers import Outliers
from mixvision.images.pairs import describe_search
from mixvision.images.sources import RawImages
from mixvision.images.splits import Splits
from mixvision.images.store import ImageStore, PendingImages, pixels_by_domain
from mixvision.vocabulary import SPLITS

logger = logging.getLogger(__name__)


SHEETS_SEED = 0


def decode(raw: RawImages, decoding: Decoding) -> PendingImages:
    """One domain's files with the settings to decode them by; the image store decodes while it is saved."""
    return PendingImages(raw, decoding)


def select_images(
    nice: ImageStore, real: ImageStore, categories: Categories, outliers: Outliers
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The files of both domains with every exclusion, the excluded files, and their counts."""
    selected = manifest.select_images(nice, real, categories, outliers)
    return selected, *manifest.excluded_files(selected, {"nice": nice.unmapped, "real": real.unmapped})


def build_manifest(
    selected: pd.DataFrame,
    nice: ImageStore,
    real: ImageStore,
    categories: Categories,
    duplicates: Duplicates,
    folder: Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The manifest without splits and the pairs of near-duplicates, if there are enough images.

    The pairs are kept in the folder, and what was found until an interruption. What was excluded is saved before.
    """
    manifest.require_images(selected, categories)
    return manifest.build_manifest(selected, nice, real, duplicates, folder)


def assign_splits(unsplit: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """The manifest with its splits."""
    return manifest.split_manifest(unsplit, splits)


def audit_splits(
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    excluded: pd.DataFrame,
    splits: Splits,
    duplicates: Duplicates,
    decoding: Decoding,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The audit, one row per domain and category, its summary, which is also logged, and a list of what leaks."""
    leaks = list_leaks(table, pairs)
    summary = audit.summarise_audit(table, pairs, leaks, splits, describe_search(duplicates, decoding.size))
    by_category = audit.audit_splits(table)
    lines = [
        f"{row.finding}: {row.count}" + (f" ({row.detail})" if row.detail else "")
        for row in summary.itertuples(name="Finding")
    ]
    totals = by_category.groupby("domain")[["images", *SPLITS]].sum()
    logger.info("Images kept and split:\n%s", totals.to_string())
    logger.info("Files excluded:\n%s", excluded.to_string(index=False) if len(excluded) else "none")
    logger.info("Split audit:\n%s", "\n".join(lines))
    return by_category, summary, leaks


def write_page(title: str, nice: ImageStore, real: ImageStore, **tables: pd.DataFrame) -> str:
    """The page to look at before training; ``tables`` are fields of `IngestionResults`."""
    # Imported here, as plotly takes long to load and only this node of many needs it.
    from mixvision.studies.ingestion.page import IngestionResults, draw_sheets, ingestion_page

    results = IngestionResults(**tables)
    sheets = draw_sheets(results.manifest, pixels_by_domain(nice, real), np.random.default_rng(SHEETS_SEED))
    return ingestion_page(title, results, sheets)

"""Tables of the images themselves: how many, how large, and which were left out."""

from __future__ import annotations

import pandas as pd

from mixvision.vocabulary import SPLITS


def excluded_files(manifest: pd.DataFrame) -> pd.DataFrame:
    """Every excluded file: ``id``, ``reason``, ``bytes``."""
    return manifest.loc[manifest["status"] == "excluded", ["id", "reason", "bytes"]].reset_index(drop=True)


def image_counts(manifest: pd.DataFrame) -> pd.DataFrame:
    """Images per domain: kept, by split, and excluded."""
    kept = manifest["status"] == "kept"
    columns = {"kept": kept}
    columns |= {split: kept & (manifest["split"] == split) for split in SPLITS}
    columns["excluded"] = ~kept
    return pd.DataFrame(columns).groupby(manifest["domain"]).sum().reset_index()


def image_dimensions(manifest: pd.DataFrame) -> pd.DataFrame:
    """How often each size occurs among the files that could be decoded, most frequent first.

    Returns:
        columns domain, width and height (pixels, upright), images, kept (how many of these).
    """
    decoded = manifest[manifest["pixel_row"] >= 0]
    sizes = decoded.assign(kept=decoded["status"] == "kept").groupby(["domain", "width", "height"])["kept"]
    table = sizes.agg(images="size", kept="sum").reset_index()
    return table.sort_values("images", ascending=False, kind="stable", ignore_index=True)

"""Which held-out images leak, and why: each with an image that the model has seen when it is judged on the first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.schema.tables import SPLIT_LEAKS
from mixvision.vocabulary import SPLITS


def list_leaks(manifest: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per image that leaks: with one of training or, of a test image, with one of validation.

    Args:
        manifest: with its splits.
        pairs: near-duplicates, columns id_a, id_b.

    Returns:
        columns id, split, kind, of, of_split, sorted by id. The kind is the first that applies of "exact copy",
        "near-duplicate", "same group" and "linked" (by others that are near-duplicates, or of a group, in turn).
    """
    kept = manifest[manifest["status"] == "kept"].set_index("id")
    rank = kept["split"].map({split: position for position, split in enumerate(SPLITS)})
    both = pd.concat([pairs.set_axis(names, axis=1) for names in (["id", "of"], ["of", "id"])])
    same = kept["pixels_sha256"][both["id"]].to_numpy() == kept["pixels_sha256"][both["of"]].to_numpy()
    found = pd.concat(
        [
            both.assign(kind=np.where(same, "exact copy", "near-duplicate")).sort_values("kind"),
            _with_the_first(kept[kept["group"] != ""], ["domain", "group"], rank).assign(kind="same group"),
            _with_the_first(kept, ["component"], rank).assign(kind="linked"),
        ]
    )
    found = found[rank[found["of"]].to_numpy() < rank[found["id"]].to_numpy()].drop_duplicates("id").sort_values("id")
    splits = {"split": kept["split"][found["id"]].to_numpy(), "of_split": kept["split"][found["of"]].to_numpy()}
    return found.assign(**splits)[SPLIT_LEAKS.names].reset_index(drop=True)


def _with_the_first(kept: pd.DataFrame, by: list[str], rank: pd.Series) -> pd.DataFrame:
    """Every image with the one of its group that is in training or, if none is, in validation: columns id, of."""
    order = rank[kept.index].sort_values(kind="stable").index
    first = kept.loc[order].reset_index().groupby(by)["id"].first().rename("of").reset_index()
    return kept.reset_index()[["id", *by]].merge(first, on=by)[["id", "of"]]

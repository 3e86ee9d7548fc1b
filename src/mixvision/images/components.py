"""Components: near-duplicates and groups linked together, the images that must stay in one split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.images.duplicates import clusters_of


def components_of(pictures: pd.DataFrame) -> np.ndarray:
    """The connected component of every image, linked to all of its cluster and of its group: int64 (n,), from 0.

    Args:
        pictures: columns domain, cluster and group ("" for none; a group holds within one domain).
    """
    rows = pd.Series(np.arange(len(pictures)))
    cluster, domain, group = (pictures[name].reset_index(drop=True) for name in ("cluster", "domain", "group"))
    grouped = group != ""
    links = [
        np.column_stack([first[members], rows[members]])
        for first, members in (
            (rows.groupby(cluster).transform("min"), rows),
            (rows[grouped].groupby([domain[grouped], group[grouped]]).transform("min"), rows[grouped]),
        )
    ]
    return clusters_of(len(pictures), np.concatenate(links))

"""A map of images: points in the plane that are close to each other if the images' features are similar."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

COMPONENTS = 50  # principal components kept of the features, as in the paper
PERPLEXITY = 30.0


def map_features(features: np.ndarray, seed: int) -> np.ndarray:
    """Map features ``(N, F)`` to places in the plane ``(N, 2)`` by t-SNE (van der Maaten and Hinton, 2008).

    Features are first reduced to 50 principal components, and the map starts from the first two, so equal features and
    seeds give equal maps. Distances between groups far apart mean little.

    Raises:
        ValueError: there are fewer than 4 images.
    """
    if len(features) < 4:
        raise ValueError(f"A map needs 4 images or more, but there are {len(features)}.")
    components = min(COMPONENTS, *features.shape)
    reduced = PCA(components, svd_solver="full").fit_transform(np.asarray(features, dtype=np.float64))
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)

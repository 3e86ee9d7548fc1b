"""Digests of what decides a result: they name checkpoints, so that changed settings start anew."""

from __future__ import annotations

import hashlib

import torch

import mixvision
from mixvision.training.pool import ImagePool


def digest_pool(pool: ImagePool, settings: tuple) -> hashlib._Hash:
    """A digest of the images, their labels and splits, of settings, and of the versions that compute with them."""
    digest = hashlib.sha256(repr((*settings, torch.__version__, mixvision.__version__)).encode())
    digest.update("\n".join((*pool.categories, *pool.ids)).encode())
    for positions in (*pool.held_out.values(), pool.labels):
        digest.update(positions.numpy().tobytes())
    digest.update(pool.pixels.numpy())
    return digest

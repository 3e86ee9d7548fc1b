"""Features of all images from a frozen network, computed once and cached in a file."""

from __future__ import annotations

import copy
import hashlib
import logging
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mixvision.files import replacing_file
from mixvision.models.backbones import Preprocessing, PretrainedBackbone, embed
from mixvision.progress import progress
from mixvision.training.config import Arithmetic
from mixvision.training.fingerprints import fingerprint
from mixvision.training.memory import images_at_once, keep_freed_memory
from mixvision.training.pool import ImagePool
from mixvision.transforms.test_time import view_of
from mixvision.vocabulary import WHOLE

log = logging.getLogger(__name__)

CHUNK = 512  # images; a killed extraction loses at most this many


def backbone_features(
    backbone: PretrainedBackbone,
    input_size: int,
    pool: ImagePool,
    folder: Path,
    arithmetic: Arithmetic,
    view: str = WHOLE,
) -> Tensor:
    """Compute a frozen network's features of every image of the pool, or read them from the cache.

    Args:
        backbone: the network with its weights.
        input_size: side in pixels that images are resized to.
        pool: the images.
        folder: folder of the cache; see :func:`extract_features`.
        arithmetic: device and precision; "bf16-mixed" runs the network in bfloat16.
        view: which part of the images the network sees; see :func:`mixvision.transforms.test_time.view_of`.

    Returns:
        float32 ``(N, F)`` on the CPU, in the order of ``pool.ids``.

    Raises:
        ValueError: a feature is not a finite number.
    """
    compute = feature_function(backbone, input_size, arithmetic, view)
    key = {
        "network": backbone.network.pretrained_cfg["architecture"],
        "timm": timm.__version__,
        "weights": backbone.sha256 or backbone.source,
        "preprocessing": [input_size, *backbone.mean, *backbone.std],
        "precision": arithmetic.precision,
        "view": view,
    }
    batch = images_at_once(input_size, arithmetic.on_gpu)
    return extract_features(compute, pool, folder, key, arithmetic.device, batch)


def feature_function(
    backbone: PretrainedBackbone, input_size: int, arithmetic: Arithmetic, view: str = WHOLE
) -> Callable[[Tensor], Tensor]:
    """Return a function from images ``(B, 3, S, S)``, floats in [0, 1] on the device, to features ``(B, F)``.

    It uses a copy of the network, so ``backbone`` itself stays on its device.
    """
    device = arithmetic.device
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    network = copy.deepcopy(backbone.network).to(device).to(memory_format=layout).eval()
    preprocessing = Preprocessing(input_size, backbone.mean, backbone.std).to(device)

    def compute(images: Tensor) -> Tensor:
        with arithmetic.autocast():
            return embed(network, preprocessing(view_of(images, view)))

    return compute


@torch.no_grad()
def images_per_second(
    compute: Callable[[Tensor], Tensor], size: int, arithmetic: Arithmetic, rounds: int = 5
) -> tuple[float, int]:
    """Median speed, in images per second, of computing features of random images ``(B, 3, size, size)``; and F."""
    batch, device = images_at_once(size, arithmetic.on_gpu), arithmetic.device
    images, seconds = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0)), []
    images = images.to(device, memory_format=torch.channels_last)  # as a pool's images are
    features = compute(images)  # warms up
    for _ in range(rounds):
        began = time.perf_counter()
        features = compute(images)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return batch / statistics.median(seconds), features.shape[1]


def extract_features(
    compute: Callable[[Tensor], Tensor],
    pool: ImagePool,
    folder: Path,
    key: Mapping[str, Any],
    device: torch.device,
    batch: int = 64,
) -> Tensor:
    """Compute features of every image of the pool, or read them from the cache in ``folder``.

    The cache file is named by ``key``, the pool's ids and pixels, the device's type and PyTorch's version, so features
    of anything else are never mistaken for these; files with other names are left alone. A damaged file is computed
    again. An interrupted extraction keeps its finished chunks of 512 images.

    Args:
        compute: function from floats ``(B, 3, S, S)`` in [0, 1] on the device to features ``(B, F)``. A module is put
            into evaluation mode; any other function must do that itself.
        pool: the images.
        folder: folder of the cache.
        key: everything else that decides the features, in plain values: the weights' digest, the architecture, the
            preprocessing, the precision.
        device: the device that ``compute`` runs on.
        batch: number of images given to ``compute`` at a time.

    Returns:
        float32 ``(N, F)`` on the CPU, in the order of ``pool.ids``.

    Raises:
        ValueError: ``compute`` does not return F finite numbers per image.
    """
    name = fingerprint("frozen", key, pool.ids, pool.pixels, device.type)
    file, chunks = folder / f"{name}.safetensors", folder / f"{name}.chunks"
    features = _read(file)
    if features is None:
        chunks.mkdir(parents=True, exist_ok=True)
        features = _extract(compute, pool, chunks, device, batch)
        _write(features, file)
        shutil.rmtree(chunks)
    return features


def _extract(
    compute: Callable[[Tensor], Tensor], pool: ImagePool, chunks: Path, device: torch.device, batch: int
) -> Tensor:
    """Features of all images, chunk by chunk; chunks already in the folder are not computed again."""
    if isinstance(compute, nn.Module):
        compute.eval()
    if device.type == "cpu":
        keep_freed_memory()
    parts = []
    with progress(desc="extracting features", total=len(pool.ids), unit="image") as bar:
        for positions in torch.arange(len(pool.ids)).split(CHUNK):
            file = chunks / f"{positions[0]}-{positions[-1]}.safetensors"
            features = _read(file)
            if features is None:
                features = _compute(compute, pool, positions, device, batch)
                _write(features, file)
            parts.append(features)
            bar.update(len(positions))
    return torch.cat(parts)


@torch.no_grad()
def _compute(
    compute: Callable[[Tensor], Tensor], pool: ImagePool, positions: Tensor, device: torch.device, batch: int
) -> Tensor:
    """Features of the images at some positions, ``(n, F)`` on the CPU; waits for a GPU only at the end."""
    parts = []
    for part in positions.split(batch):
        pixels = pool.pixels[part]
        if device.type == "cuda":
            pixels = pixels.pin_memory()  # so that the copy overlaps with the network's work on the previous batch
        images = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
        features = compute(images.to(torch.get_default_dtype()).div_(255))
        if features.dim() != 2 or len(features) != len(part):
            raise ValueError(
                f"The network returns features of shape {tuple(features.shape)} for {len(part)} images, but "
                f"({len(part)}, F) is needed: pool them over height and width."
            )
        parts.append(features.float())
    features = torch.cat(parts).cpu()
    wrong = positions[~features.isfinite().all(1)]
    if len(wrong):
        raise ValueError(
            f"The features of {pool.ids[wrong[0]]!r} and {len(wrong) - 1} more images are not finite numbers: the "
            "weights are damaged, or the precision is too low for this network."
        )
    return features


def _read(file: Path) -> Tensor | None:
    """The features in a file, or None if it is absent or damaged."""
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            features, digest = opened.get_tensor("features"), opened.metadata()["sha256"]
    except (OSError, SafetensorError, KeyError, TypeError):
        digest = None
    if digest is None or _digest(features) != digest:
        log.warning("%s is damaged; computing its features again.", file)
        return None
    return features


def _write(features: Tensor, file: Path) -> None:
    with replacing_file(file) as partial:
        save_file({"features": features}, partial, {"sha256": _digest(features)})


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.numpy().data).hexdigest()

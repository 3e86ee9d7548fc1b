"""Batch sizes that fit the CPU's cache, memory that is reused, and how to tell that it ran out."""

from __future__ import annotations

import ctypes
import errno
import logging

import torch

log = logging.getLogger(__name__)

# On a CPU work is fastest while the largest feature map stays in the cache (measured: docs/architecture.md).
CACHE_BYTES = 16 * 2**20
FIRST_MAP_CHANNELS = 8
MOST_AT_ONCE = 256

NO_PRIMITIVE = "could not create a primitive"  # oneDNN, seen where the address space was full

# What PyTorch, CUDA's libraries, oneDNN and joblib say in a RuntimeError when memory runs out.
SIGNS = (
    "can't allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    NO_PRIMITIVE,
    "could not execute a primitive",
    "could not create a memory",
    "excessive memory usage",
    "can't start new thread",  # Python, where its stack does not fit the address space
)

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc refuses more


def images_in_cache(side: int) -> int:
    """How many images of ``side`` x ``side`` pixels fit the cache together: batch size times number of networks."""
    return max(1, CACHE_BYTES // (side * side * FIRST_MAP_CHANNELS * 4))


def images_at_once(side: int, on_gpu: bool) -> int:
    """The fastest batch size for inference of one network on images of ``side`` x ``side`` pixels."""
    return MOST_AT_ONCE if on_gpu else min(max(8, images_in_cache(side)), MOST_AT_ONCE)


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB for the next step instead of returning them to the system.

    Otherwise every large tensor is mapped and zeroed page by page again in every step. The price: the process stays as
    large as at its peak. With any C library other than glibc this does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    mallopt(TRIM_THRESHOLD, -1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch raises a RuntimeError for that of the CPU."""
    if isinstance(error, RuntimeError):
        return any(sign in str(error) for sign in SIGNS)
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def stop_using_onednn(error: BaseException) -> bool:
    """After an error of oneDNN's compiler, compute without oneDNN from now on; returns whether this changes anything.

    The compiler keeps an error for as long as its thread lives, so that every later call fails, too, however small it
    is and however much memory is free. PyTorch's own kernels are slower, and agree within rounding.
    """
    if NO_PRIMITIVE not in str(error) or not torch.backends.mkldnn.enabled:
        return False
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property of the module
    log.warning("oneDNN cannot be used any more after this: the rest is computed without it, which is slower.")
    return True

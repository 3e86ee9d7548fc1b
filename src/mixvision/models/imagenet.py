"""The 1000 classes of ImageNet-1k, and which of them a study's categories are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from functools import cache

from timm.data import ImageNetInfo

CLASSES = 1000
_WNID = re.compile(r"n\d{8}")


def imagenet_classes(categories: Collection[str]) -> dict[str, int]:
    """Find the ImageNet class, 0 to 999, of each category that is one; other categories are left out.

    A category is recognised by the WordNet number in its name ("n02085620", "n02085620-Chihuahua"), or else by being
    one of a class's names, in any case and with words joined by spaces, hyphens or underscores. A name that two classes
    share ("crane") is left out, as are two categories of the same class.
    """
    found = {category: _class_of(category) for category in categories}
    counts = Counter(found.values())
    return {category: number for category, number in found.items() if number is not None and counts[number] == 1}


@cache
def class_names() -> tuple[str, ...]:
    """A name of each class: its WordNet number and the first of its names, "n02085620 Chihuahua"."""
    info = ImageNetInfo("imagenet-1k")
    return tuple(f"{info.index_to_label_name(k)} {_names(info, k)[0]}" for k in range(CLASSES))


def _class_of(category: str) -> int | None:
    wnid = _WNID.search(category)
    return _by_wnid().get(wnid[0]) if wnid else _by_name().get(_plain(category))


@cache
def _by_wnid() -> dict[str, int]:
    return {name.partition(" ")[0]: number for number, name in enumerate(class_names())}


@cache
def _by_name() -> dict[str, int]:
    info = ImageNetInfo("imagenet-1k")
    named = [(_plain(name), number) for number in range(CLASSES) for name in _names(info, number)]
    counts = Counter(name for name, _ in set(named))
    return {name: number for name, number in named if counts[name] == 1}


def _names(info: ImageNetInfo, number: int) -> list[str]:
    return info.index_to_description(number).split(", ")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()

"""Which label belongs to which image."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.labels.reading import Labels
from mixvision.images.names import tidied

logger = logging.getLogger(__name__)


def match_labels(paths: Sequence[str], labels: Labels, domain: str) -> dict[str, str]:
    """Find the label of every image: the file as the labels name it, by path.

    A label belongs to the image with its path; or to the only one whose path ends like it, or that has its name, then
    in any case and with any blanks and invisible characters, then without the suffix.

    Args:
        paths: of the images, below the root.
        labels: from :func:`read_labels`.
        domain: for messages.

    Raises:
        ValueError: several images fit one label.
    """
    named = {**labels.categories, **labels.refused}
    found: dict[str, str] = {}
    for key in (_as_it_is, _ending, _name, _name_in_any_case, _stem):
        taken, by_key = set(found.values()), defaultdict(list)
        for name in named:
            if name not in taken:
                for part in key(name):
                    by_key[part].append(name)
        fitting = defaultdict(list)
        for path in paths:
            if path not in found:
                candidates = (by_key.get(part, []) for part in key(normalize("NFC", path)))
                label = next((names[0] for names in candidates if len(names) == 1), None)
                if label is not None:
                    fitting[label].append(path)
        for label, those in fitting.items():
            if len(those) > 1:
                raise ValueError(
                    f"The labels of {domain!r} images name the file {label!r}, but several files fit, such as "
                    f"{those[0]} and {those[1]}: give their paths in the labels, or let the layout leave one out."
                )
            found[those[0]] = label
    return found


def missing_files(labels: Labels, used: Iterable[str], paths: Iterable[str], domain: str) -> dict[str, str]:
    """The files of labels that are nowhere in the source, with the reason; their number is logged.

    Args:
        labels: from :func:`read_labels`.
        used: the labels' files that were found.
        paths: of all files of the source, whether they fit the layout or not.
        domain: for the message.
    """
    there = {stem for path in paths for stem in _stem(normalize("NFC", path))}
    left = set(labels.categories) - set(used)
    missing = sorted(name for name in left if not there.intersection(_stem(name)))
    if missing:
        some = ", ".join(missing[:3])
        logger.warning("%s: %d labels have no file in the source, such as %s.", domain, len(missing), some)
    return dict.fromkeys(missing, "unreadable file: in the labels, but not in the source")


def _as_it_is(path: str) -> list[str]:
    return [path]


def _ending(path: str) -> list[str]:
    """The path and its endings of several parts, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts) - 1)]


def _name(path: str) -> list[str]:
    return [PurePosixPath(path).name]


def _name_in_any_case(path: str) -> list[str]:
    return [tidied(PurePosixPath(path).name).casefold()]


def _stem(path: str) -> list[str]:
    (name,) = _name_in_any_case(path)
    return [name.removesuffix(PurePosixPath(name).suffix) if PurePosixPath(name).suffix in SUFFIXES else name]

"""How data sets call their splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator

NAMES = {  # whatever the case
    **dict.fromkeys(("train", "training", "trainset", "trn"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev", "eval", "publictest"), "validation"),
    **dict.fromkeys(("test", "testing", "testset", "tst", "privatetest"), "test"),
}
ONLY_BESIDE_OTHERS = {
    **dict.fromkeys(("trainval", "development"), "train"),
    "evaluation": "validation",
    **dict.fromkeys(("holdout", "query", "gallery"), "test"),
}
KNOWN = f"{', '.join(NAMES)} (alone or as a word within a name)"
_AROUND = re.compile(r"^(seg|img|images|my)_|[_ -]?(set|data|images|\d{4})$")  # seg_train, training_set, val2017
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # of birds_train, trainA, TEST-jpg
_NUMBER = re.compile(r"^\d+[ _.-]*|[ _.-]*v?\d+$", re.IGNORECASE)  # of 1_train, test2, train_v2


def split_named(name: str) -> str:
    """The split that a name means by itself, or "": train, Training, val2017, seg_test, ..."""
    name = name.casefold()
    return NAMES.get(name) or NAMES.get(_AROUND.sub("", name), "")


def split_meant(name: str) -> str:
    """The split that a name means where people say that it is one, or "": also trainval, birds_train, test_v2, ..."""
    kinds = {kind for _, kind in _readings(name)}
    return kinds.pop() if len(kinds) == 1 else ""


def splits_among(names: Collection[str]) -> dict[str, str]:
    """The names that mean splits as they stand beside each other, with the split; none unless there are two splits.

    A name such as "birds_train" counts beside "birds_test", but not beside "crash_test".
    """
    folded = {name.casefold() for name in names}
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        if name.casefold() != "gallery" or "query" in folded:  # galleries are places, too
            for around, kind in _readings(name):
                alike[around][name] = kind
    several = [found for found in alike.values() if len(set(found.values())) > 1]
    return {name: kind for found in several for name, kind in found.items()}


def _readings(name: str) -> Iterator[tuple[str, str]]:
    """What is around the word that names a split, without numbers, and the split: for each word that may be it."""
    whole = split_named(name) or ONLY_BESIDE_OTHERS.get(name.casefold())
    if whole:
        yield "", whole
        return
    for word in _WORD.finditer(name):
        if kind := NAMES.get(word[0].casefold()):
            yield _NUMBER.sub("", f"{name[: word.start()]}\0{name[word.end() :]}").casefold().replace("\0", ""), kind

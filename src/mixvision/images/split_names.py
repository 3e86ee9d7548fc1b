"""How data sets call their splits."""

from __future__ import annotations

import re

NAMES = {  # whatever the case
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
_AROUND = re.compile(r"^(seg|img|images|my)_|[_ -]?(set|data|images|\d{4})$")  # seg_train, training_set, val2017


def split_named(name: str) -> str:
    """The split that a name means, or "": train, Training, val2017, seg_test, ..."""
    name = name.casefold()
    return NAMES.get(name) or NAMES.get(_AROUND.sub("", name), "")

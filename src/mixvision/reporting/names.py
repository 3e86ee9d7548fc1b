"""Plain names, for people, of what tables and parameters call by short names."""

from __future__ import annotations

from mixvision.vocabulary import AFTER_INITIAL, BEST_IN, BEST_TEST, BEST_VALIDATION, LAST

# Of the snapshots: the state of the weights at one moment of training.
SNAPSHOT_NAMES = {
    BEST_VALIDATION: "chosen on validation",
    LAST: "end of training",
    BEST_TEST: "chosen on test",
    **{snapshot: f"chosen on {domain} validation images" for domain, snapshot in BEST_IN.items()},
    AFTER_INITIAL: "after initial training",
}
_NAMES = SNAPSHOT_NAMES | {
    "l2": "L2",
    "sha256": "SHA-256",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "single_object": "a single object",
    "evaluate_every": "iterations between evaluations",
    "evaluate_restricted_every": "iterations between evaluations, restricted training",
    "checkpoint_every": "iterations between saved states",
    "stack_size": "models trained together",
    "ema_decay": "decay of averaged weights",
}


def plain_name(name: str) -> str:
    """The plain name of a column, a setting or a snapshot; where it has none of its own, blanks for underscores."""
    return _NAMES.get(name, name.replace("_", " "))

"""One word for one thing: the names that tables, files and parameters share. Every layer may import them.

A *domain* is a kind of image, a *split* an image's role (training, validation or test), a *snapshot* the state of a
network at one point of its training, a *view* what a network sees of an image, a *method* how a pretrained network is
used.
"""

from __future__ import annotations

NICE, REAL = "nice", "real"
DOMAINS = (NICE, REAL)

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
HELD_OUT = (VALIDATION, TEST)
INDEPENDENT = "independent"  # in reports, the test images of a domain used for testing only
TEST_SPLITS = (TEST, INDEPENDENT)

BEST_VALIDATION, LAST, BEST_TEST = "best_validation", "last", "best_test"
AFTER_INITIAL = "after_initial"  # of iterative training: the start of the second training
SNAPSHOTS = (BEST_VALIDATION, LAST, BEST_TEST)
BEST_IN = {domain: f"{BEST_VALIDATION}_{domain}" for domain in DOMAINS}  # by the accuracy in one domain alone

WHOLE, CENTRE = "whole", "centre"

AS_IS, RESTRICTED, HEAD, FINE_TUNED = "as is", "as is, restricted", "head", "fine-tuned"

FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"  # how a training ended
OUT_OF_MEMORY, CANCELLED = "out of memory", "cancelled"
MISSING = (FAILED, OUT_OF_MEMORY, CANCELLED)  # trials without results

MEASURES = (*DOMAINS, "performance")  # the accuracy in each domain, and the geometric mean of both
METRICS = tuple(f"{measure}_{top}" for top in ("top1", "top3") for measure in MEASURES)

CATEGORY_MEASURES = ("worst_category", "balanced_accuracy", "macro_f1")  # in which every category counts alike


def category_metric(domain: str, measure: str, split: str = "") -> str:
    """The column of one of CATEGORY_MEASURES in a domain, and in a split where a table has columns of several."""
    return "_".join(filter(None, [domain, split, measure]))


CATEGORY_METRICS = tuple(category_metric(domain, measure) for domain in DOMAINS for measure in CATEGORY_MEASURES)


def snapshot_name(trial: str, snapshot: str) -> str:
    """The name under which a trial's network or probabilities at a snapshot are kept: "trial/snapshot"."""
    return f"{trial}/{snapshot}"


def split_snapshot_name(name: str) -> tuple[str, str]:
    """Trial and snapshot of a :func:`snapshot_name`; neither holds a slash."""
    trial, _, snapshot = name.partition("/")
    return trial, snapshot

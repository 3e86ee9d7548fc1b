"""Tables of models' metrics: their columns and keys."""

from __future__ import annotations

from dataclasses import replace

from mixvision.schema.columns import FLAG, NUMBER, TEXT, WHOLE, Column, Table
from mixvision.schema.shared import (
    ACCURACIES,
    AVERAGED,
    BACKBONE,
    BEST_EPOCH,
    BY_CATEGORY,
    DOMAIN,
    EPOCHS,
    FINE_TUNING,
    HEAD,
    IMAGES_PER_SECOND,
    INPUT_SIZE,
    JOINED,
    METHOD,
    PARAMETERS,
    RATIO,
    REASON,
    SECONDS,
    SHARE,
    SNAPSHOT,
    SPLIT,
    STATUS,
    STEPS_TAKEN,
    TRAINED_PARAMETERS,
    TRIAL,
    accuracy,
)
from mixvision.schema.tables import APPROACH, ARM, BASELINES_TRIALS, SEEN, TUNING_TRIALS
from mixvision.vocabulary import (
    CATEGORY_MEASURES,
    DOMAINS,
    HELD_OUT,
    INDEPENDENT,
    MEASURES,
    SPLITS,
    TEST,
    TEST_SPLITS,
    category_metric,
)

_MEASURED = Table("metrics", (TRIAL, SNAPSHOT, SPLIT), key=("trial", "snapshot", "split"))
METRICS = _MEASURED.with_columns(
    *(replace(measure, metric=True) for measure in (*ACCURACIES, *BY_CATEGORY)),
    *(Column(f"{domain}_images", WHOLE, "number of images measured on") for domain in DOMAINS),
)
OVERALL_METRICS = replace(
    _MEASURED.with_columns(
        Column("images", WHOLE, "number of images measured on"),
        *(accuracy(f"{domain}_top1", optional=True, metric=True) for domain in DOMAINS),
        *(replace(measure, optional=True, metric=True) for measure in BY_CATEGORY),
    ),
    more=(accuracy("top<k>", "share of images whose category is among the first k predictions", metric=True),),
)
BEHIND = (
    *(
        Column(f"behind_{end}", NUMBER, "bound of the 95% interval of the distance to the best value", missing=True)
        for end in ("low", "high")
    ),
    Column("is_beaten", FLAG, "whether any other value is certainly better, of all pairs at once", missing=True),
)
_AVERAGED = (*ACCURACIES, *BY_CATEGORY)
METRIC_TABLE = Table(
    "metric table",
    (
        *(replace(setting, optional=True) for setting in (RATIO, SHARE)),
        *(SNAPSHOT, AVERAGED, *_AVERAGED),
        *(accuracy(f"{measure.name}_std", "standard deviation over the trials") for measure in _AVERAGED),
        *(accuracy(f"performance_{top}_{end}") for top in ("top1", "top3") for end in ("low", "high")),
        accuracy("validation_performance_top1"),
        *(
            accuracy(f"highest_{domain}_top1", "highest on the test images at any evaluation", optional=True)
            for domain in DOMAINS
        ),
        *(replace(column, optional=True) for column in BEHIND),
        *(replace(measure, name=f"published_{measure.name}", optional=True) for measure in ACCURACIES),
    ),
    key=("ratio", "share", "snapshot"),
)
_UNDER_SPLITS = tuple(
    column
    for side, splits in (("used", "the study's splits"), ("plain", "the plain split"))
    for column in (
        accuracy(f"{side}_top1", f"accuracy on the test images of {splits}"),
        *(accuracy(f"{side}_{end}", "bound of its 95% interval") for end in ("low", "high")),
        *(accuracy(f"{side}_{measure}", BY_CATEGORY[0].meaning) for measure in CATEGORY_MEASURES),
        Column(f"{side}_best", FLAG, f"whether the ratio is best on the validation images of {splits}"),
        Column(f"{side}_images", WHOLE, f"test images of {splits}"),
        Column(f"{side}_components", WHOLE, "how many components they form"),
        accuracy(f"{side}_leaks", "share of them that leak"),
    )
)
COMPARISON = Table(
    "comparison of splits",
    (
        *(RATIO, DOMAIN, AVERAGED, *_UNDER_SPLITS),
        *(
            Column(f"difference{end}", NUMBER, "accuracy of the plain split minus that of the study's, or a bound")
            for end in ("", "_low", "_high")
        ),
        Column("categories", WHOLE, "categories that are tested under both splits, which alone count"),
        Column("left_out", TEXT, "the other categories of the domain, or empty"),
    ),
    key=("ratio", "domain"),
)
SCORES = TUNING_TRIALS.with_columns(
    STATUS,
    REASON,
    Column("trained_iterations", WHOLE, "steps taken"),
    accuracy("performance_top1", "best on the validation images", metric=True),
)
ALTERNATIVES_TABLE = Table(
    "arms",
    (
        *(ARM, APPROACH, AVERAGED),
        *(Column(f"{domain}_images", WHOLE, "different images that it is trained on") for domain in DOMAINS),
        *(accuracy(f"{measure}_top1") for measure in MEASURES),
        *BY_CATEGORY,
        *(
            accuracy(f"{name}_std", "standard deviation over the trials")
            for name in (*(f"{measure}_top1" for measure in MEASURES), *(measure.name for measure in BY_CATEGORY))
        ),
        *(accuracy(f"performance_top1_{end}", "bound of the 95% interval") for end in ("low", "high")),
        accuracy("validation_performance_top1"),
        *BEHIND,
    ),
    key=("arm",),
)
FROZEN_RATIOS = Table(
    "ratios of heads",
    (
        *(RATIO, AVERAGED),
        *(accuracy(f"{measure}_top1") for measure in MEASURES),
        *(accuracy(end, "bound of the 95% interval of the performance") for end in ("low", "high")),
        *BY_CATEGORY,
        accuracy("validation_performance_top1"),
        *BEHIND,
    ),
    key=("ratio",),
)
ARRIVALS = Table(
    "arrivals",
    (
        Column("run", WHOLE, "number of the pipeline's run, from 1"),
        STEPS_TAKEN,
        *(
            Column(f"{domain}_{name}", WHOLE, "images")
            for name in ("new", "buffer", "trained", "measured")
            for domain in DOMAINS
        ),
        *(accuracy(f"{name}_top1", "accuracy before learning from the images", metric=True) for name in MEASURES),
    ),
    key=("run",),
)


def by_category_of(split: str) -> tuple[Column, ...]:
    """The measures by category in a table that has columns of several splits, of domains with images."""
    names = [category_metric(domain, measure, split) for domain in DOMAINS for measure in CATEGORY_MEASURES]
    return tuple(accuracy(name, BY_CATEGORY[0].meaning, optional=True) for name in names)


# All results of the baselines, one row per model.
_ENDED = tuple(replace(column, missing=True) for column in (EPOCHS, BEST_EPOCH, PARAMETERS, SECONDS))
BASELINES_TABLE = replace(
    BASELINES_TRIALS.with_columns(
        *(STATUS, replace(STEPS_TAKEN, missing=True), *_ENDED),
        *(replace(column, missing=True) for column in SEEN),
        *(accuracy(f"{split}_top1") for split in SPLITS),
        *(accuracy(f"test_{end}", "bound of the 95% interval") for end in ("low", "high")),
        *(replace(column, optional=True) for column in BEHIND),
        *(accuracy(f"last_{split}_top1") for split in HELD_OUT),
        *(accuracy(f"{domain}_test_top1", optional=True) for domain in DOMAINS),
        *by_category_of(TEST),
        *(accuracy(f"published_{split}") for split in SPLITS),
    ),
    name="models",
)

# All results of transfer learning, one row per model.
_TESTED = tuple(
    accuracy(name, f"accuracy on the {split} images, or a bound of its 95% interval", optional=split == INDEPENDENT)
    for split in TEST_SPLITS
    for name in (f"{split}_top1", f"{split}_low", f"{split}_high", f"last_{split}_top1")
)
_CALIBRATED = tuple(
    accuracy(f"{name}{suffix}", meaning, optional=bool(suffix))
    for suffix in ("", f"_{INDEPENDENT}")
    for name, meaning in (
        ("ece", "expected calibration error"),
        ("outside", "predictions of categories not in the study"),
    )
)
TRANSFER_TABLE = Table(
    "models",
    (
        *(TRIAL, METHOD, BACKBONE, replace(INPUT_SIZE, missing=True), HEAD, FINE_TUNING),
        *(replace(IMAGES_PER_SECOND, missing=True), JOINED, STATUS, REASON),
        *(*_ENDED, replace(TRAINED_PARAMETERS, missing=True)),
        Column("megabytes", NUMBER, "of the weights as float32", "MB", missing=True),
        *(accuracy(f"{split}_top1") for split in ("train", "validation")),
        accuracy("last_validation_top1"),
        *_TESTED,
        *(replace(column, optional=True) for column in BEHIND),
        *(accuracy(f"{domain}_test_top1", optional=True) for domain in DOMAINS),
        *(column for split in TEST_SPLITS for column in by_category_of(split)),
        *_CALIBRATED,
    ),
    key=("trial",),
    more=tuple(accuracy(f"{split}_top<k>") for split in TEST_SPLITS),
)

"""Tables of images, training and predictions: their columns and keys."""

from __future__ import annotations

from dataclasses import replace

from mixvision.schema.columns import FLAG, FRACTION, NUMBER, TEXT, WHOLE, Column, Table
from mixvision.schema.shared import (
    ACCURACIES,
    BATCH_SIZE,
    BEST_EPOCH,
    CATEGORY,
    COMPONENT,
    DOMAIN,
    EPOCHS,
    FINE_TUNING,
    HEAD,
    ID,
    IMAGES_PER_SECOND,
    JOINED,
    L2,
    LEAKS,
    LEARNING_RATE,
    METHOD,
    PARAMETERS,
    PIXEL_ROW,
    PRETRAINED,
    RATIO,
    REASON,
    SECONDS,
    SEED,
    SHARE,
    SNAPSHOT,
    SPLIT,
    STATUS,
    STEPS_TAKEN,
    STEPS_TO_TAKE,
    TRAINED_PARAMETERS,
    TRIAL,
    accuracy,
)
from mixvision.vocabulary import SPLITS

# Images: one row per file, or per domain and category.
_FILE = (ID, DOMAIN, CATEGORY, Column("path", TEXT, "within the source"))
_SELECTED = (
    *_FILE,
    Column("bytes", WHOLE, "size of the file"),
    Column("format", TEXT, "of the file: PNG, JPEG, ..."),
    Column("width", WHOLE, "of the picture, upright", "pixels"),
    Column("height", WHOLE, "of the picture, upright", "pixels"),
    Column("mode", TEXT, "colour mode, as Pillow names it"),
    Column("sha256", TEXT, "hash of the file"),
    Column("pixels_sha256", TEXT, "hash of the whole decoded picture"),
    Column("square_sha256", TEXT, "hash of the stored square"),
    Column("phash", WHOLE, "perceptual hash, 64 bits"),
    Column("assumed", TEXT, "what the file leaves open, such as the depth of its samples, and how it was read"),
    Column("status", TEXT, "whether the image is used", values=("kept", "excluded")),
    Column("reason", TEXT, "why the image is excluded, or empty"),
    PIXEL_ROW,
    Column("group", TEXT, "images of the same object, scene, person or day in this domain, or empty"),
    Column(
        "published", TEXT, "the split that a published data set puts the image into, or empty", values=("", *SPLITS)
    ),
)
SELECTED_IMAGES = Table("selected images", _SELECTED, key=("id",))
MANIFEST = Table(
    "manifest",
    (
        *_SELECTED,
        Column("cluster", WHOLE, "cluster of near-duplicates, -1 if excluded"),
        COMPONENT,
        Column("split", TEXT, "what the image is for, or empty", values=("", *SPLITS)),
        LEAKS,
    ),
    key=("id",),
)
EXCLUDED_FILES = Table("excluded files", (*_FILE, Column("reason", TEXT, "why the image is excluded")), key=("id",))
ANSWERS = Table(
    "answers",
    (
        Column("file", TEXT, "path below the folder"),
        Column("category", TEXT, "what the model says, or empty"),
        Column("reason", TEXT, "why there is no category, or empty"),
    ),
    key=("file",),
)
SPLIT_AUDIT = Table(
    "split audit",
    (
        DOMAIN,
        CATEGORY,
        Column("images", WHOLE, "images kept"),
        Column("clusters", WHOLE, "clusters of near-duplicates"),
        Column("largest_cluster", WHOLE, "images in the largest cluster"),
        Column("components", WHOLE, "near-duplicates and groups linked together"),
        Column("largest_component", WHOLE, "images in the largest component"),
        Column("single_object", FLAG, "whether all images, several, are in one component"),
        *(Column(split, WHOLE, "images in this split") for split in SPLITS),
        Column("leaks", WHOLE, "held-out images whose component is also in training or, of test images, in validation"),
    ),
    key=("domain", "category"),
)
SPLIT_LEAKS = Table(
    "split leaks",
    (
        ID,
        Column("split", TEXT, "its split", values=SPLITS[1:]),
        Column(
            "kind",
            TEXT,
            "what it shares with the other image",
            values=("exact copy", "near-duplicate", "same group", "linked"),
        ),
        Column("of", TEXT, "the other image, which the model has seen by then"),
        Column("of_split", TEXT, "the other image's split", values=SPLITS[:2]),
    ),
    key=("id",),
)
MISTAKES = Table(
    "mistakes",
    (
        ID,
        DOMAIN,
        CATEGORY,
        Column("prediction", TEXT, "the most probable category"),
        Column("probability", NUMBER, "probability of the prediction", FRACTION),
        PIXEL_ROW,
    ),
    key=("id",),
)

# What to train and with which settings, one row per model; every study has its own.
TRIALS = Table("trials", (TRIAL, SEED), key=("trial",))
MIXING_TRIALS = TRIALS.with_columns(
    RATIO, LEARNING_RATE, L2, Column("tuned_by", TEXT, "which search chose learning_rate and l2", optional=True)
)
ITERATIVE_TRIALS = TRIALS.with_columns(
    *(SHARE, LEARNING_RATE, L2),
    Column("begin", WHOLE, "steps of the initial training"),
    Column("iterations", WHOLE, "steps of the second training"),
)
ARM = Column("arm", TEXT, "way to train, as it is named on the page")
APPROACH = Column("approach", TEXT, "kind of arm")
ALTERNATIVES_TRIALS = TRIALS.with_columns(
    *(ARM, APPROACH, LEARNING_RATE, L2),
    Column("real", WHOLE, "share of real images in the mix, or of the real images that are used", "%"),
    Column("objective", TEXT, "what is minimised besides the L2 penalty"),
    Column("strength", NUMBER, "how much the objective adds to the cross-entropy, or group DRO's step size"),
    Column("balanced", FLAG, "whether batches hold as many nice as real images"),
    Column("trainable", TEXT, "what the second training may change", values=("all", "head")),
    Column("replay", WHOLE, "share of nice images in the second training", "%"),
    Column("begin", WHOLE, "steps of the training on nice images alone"),
    Column("iterations", WHOLE, "steps after them"),
)
TUNING_TRIALS = TRIALS.with_columns(
    Column("step", TEXT, "step of the search", values=("rates", "factors", "final", "adaptive")),
    Column("round", WHOLE, "round of the search, from 0"),
    *(RATIO, LEARNING_RATE, L2, STEPS_TO_TAKE),
)
BASELINES_TRIALS = TRIALS.with_columns(
    Column("model", TEXT, "architecture, or random for guessing"),
    BATCH_SIZE,
    LEARNING_RATE,
    Column("dropout", FLAG, "whether dropout is used"),
    Column("augmentation", TEXT, "of the training images", values=("none", "on the fly", "expand")),
    Column("split_first", FLAG, "False to augment before splitting, a mistake made on purpose"),
    Column("matched", FLAG, "True to make this mistake with as many photos as without it"),
)
TRANSFER_TRIALS = TRIALS.with_columns(
    METHOD,
    *PRETRAINED,
    HEAD,
    FINE_TUNING,
    Column("optimizer", TEXT, "name of the optimizer, or empty"),
    replace(LEARNING_RATE, missing=True),
    Column("weight_decay", NUMBER, "of the optimizer", missing=True),
    replace(BATCH_SIZE, missing=True),
    Column("epochs", WHOLE, "maximum number of epochs"),
    Column("patience", WHOLE, "epochs without improvement before training stops", missing=True),
    Column("augmented", FLAG, "whether trained on augmented images"),
)
TRAINING_SETS = Table(
    "training sets",
    (TRIAL, Column("phase", TEXT, "phase of the training", optional=True), ID),
    key=("trial", "phase", "id"),
)
BACKBONES = Table(
    "backbones",
    (
        *PRETRAINED,
        Column("classes", WHOLE, "classes of the pretrained network"),
        Column("features", WHOLE, "features per image"),
        PARAMETERS,
        IMAGES_PER_SECOND,
    ),
    key=("backbone", "weights", "input_size"),
)

# How training progressed: one row per trial, evaluation and split.
HISTORY = Table("history", (TRIAL, Column("iteration", WHOLE, "steps taken"), SPLIT), ("trial", "iteration", "split"))
SWEEP_HISTORY = HISTORY.with_columns(
    Column("loss", NUMBER, "mean training loss since the last evaluation, with the penalty of l2", missing=True),
    Column("train_cross_entropy", NUMBER, "mean cross-entropy of the same batches, without it", missing=True),
    *ACCURACIES,
)
EPOCHS_HISTORY = HISTORY.with_columns(
    Column("epoch", WHOLE, "epochs completed"),
    Column("cross_entropy", NUMBER, "mean over the images", missing=True),
    accuracy("top1"),
    replace(SECONDS, missing=True),
)
TRANSFER_HISTORY = EPOCHS_HISTORY.with_columns(Column("phase", TEXT, "what was trained"))

# How training ended: one row per trial.
OUTCOMES = Table("outcomes", (TRIAL, STATUS, REASON, STEPS_TAKEN), key=("trial",))
SWEEP_OUTCOMES = OUTCOMES.with_columns(
    Column("stack_size", WHOLE, "trials that trained together", optional=True, missing=True),
    Column("stack_seconds", NUMBER, "training time of the whole stack", "s", optional=True, missing=True),
)
EPOCHS_OUTCOMES = OUTCOMES.with_columns(EPOCHS, BEST_EPOCH, SECONDS, PARAMETERS)
SEEN = (
    accuracy("views_top1", "accuracy on views of the validation images"),
    Column("train_photos", WHOLE, "distinct images among the training examples"),
    Column("validation_photos", WHOLE, "distinct images among the validation examples"),
)
BASELINES_OUTCOMES = EPOCHS_OUTCOMES.with_columns(*SEEN)
TRANSFER_OUTCOMES = EPOCHS_OUTCOMES.with_columns(TRAINED_PARAMETERS)

# Predictions for held-out images: one row per model and image.
PREDICTIONS = Table(
    "predictions",
    (
        *(TRIAL, SNAPSHOT, ID),
        Column("prediction_1", TEXT, "the most probable category"),
        Column("probability_1", NUMBER, "probability of prediction_1", FRACTION),
    ),
    key=("trial", "snapshot", "id"),
    more=(
        Column("prediction_<k>", TEXT, "the k-th most probable category, if there are k", missing=True),
        Column("probability_<k>", NUMBER, "probability of prediction_<k>", FRACTION, missing=True),
    ),
)
INTERPOLATIONS = replace(
    PREDICTIONS,
    name="predictions of interpolated networks",
    columns=(TRIAL, Column("snapshot", TEXT, "alpha_0.30: share of the second network"), *PREDICTIONS.columns[2:]),
)
JOINED_PREDICTIONS = replace(
    PREDICTIONS.with_columns(DOMAIN, CATEGORY, SPLIT, LEAKS, COMPONENT, PIXEL_ROW),
    name="joined predictions",
    more=(*PREDICTIONS.more, Column("top<k>", FLAG, "whether the category is among the first k predictions")),
)
PROBABILITIES = Table(
    "probabilities",
    (Column("view", TEXT, "view of the image: whole, centre, ..."), ID),
    key=("view", "id"),
    more=(Column("<category>", NUMBER, "probability of the category", FRACTION),),
)
MEMBERS = Table(
    "members",
    (TRIAL, METHOD, JOINED, Column("views", WHOLE, "views averaged, 1 for an ensemble")),
    key=("trial",),
)

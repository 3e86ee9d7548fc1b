"""Tables of images, trainings and predictions: their columns, and which of them tell its rows apart."""

from __future__ import annotations

from dataclasses import replace

from mixvision.schema.columns import FLAG, FRACTION, NUMBER, TEXT, WHOLE, Column, Table
from mixvision.schema.shared import (
    ACCURACIES,
    BATCH_SIZE,
    BEST_EPOCH,
    CATEGORY,
    CLUSTER,
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

# Images: one row a file, one a domain and category.
_FILE = (ID, DOMAIN, CATEGORY, Column("path", TEXT, "within the source"))
MANIFEST = Table(
    "manifest",
    (
        *_FILE,
        Column("bytes", WHOLE, "size of the file"),
        Column("format", TEXT, "of the file: PNG, JPEG, ..."),
        Column("width", WHOLE, "of the picture in the file", "pixels"),
        Column("height", WHOLE, "of the picture in the file", "pixels"),
        Column("mode", TEXT, "of the colours, in Pillow's words"),
        Column("sha256", TEXT, "hash of the file"),
        Column("pixels_sha256", TEXT, "hash of the decoded picture"),
        Column("phash", WHOLE, "perceptual hash, 64 bits"),
        Column("status", TEXT, "whether the image is used", values=("kept", "excluded")),
        Column("reason", TEXT, "why the image is excluded, or empty"),
        PIXEL_ROW,
        CLUSTER,
        Column("split", TEXT, "what the image is for, or empty", values=("", *SPLITS)),
        LEAKS,
    ),
    key=("id",),
)
EXCLUDED_FILES = Table("excluded files", (*_FILE, Column("reason", TEXT, "why the image is excluded")), key=("id",))
SPLIT_AUDIT = Table(
    "split audit",
    (
        DOMAIN,
        CATEGORY,
        Column("images", WHOLE, "kept"),
        Column("clusters", WHOLE, "of near-duplicates"),
        Column("largest_cluster", WHOLE, "its images"),
        Column("single_object", FLAG, "whether all images are near-duplicates of one another"),
        *(Column(split, WHOLE, "images in this split") for split in SPLITS),
        Column("leaks", WHOLE, "held-out images with a near-duplicate on the other side"),
    ),
    key=("domain", "category"),
)
MISTAKES = Table(
    "mistakes",
    (
        ID,
        DOMAIN,
        CATEGORY,
        Column("prediction", TEXT, "the most probable category"),
        Column("probability", NUMBER, "of that category", FRACTION),
        PIXEL_ROW,
    ),
    key=("id",),
)

# What to train, one row a model, and with which settings; every study has its own.
TRIALS = Table("trials", (TRIAL, SEED), key=("trial",))
MIXING_TRIALS = TRIALS.with_columns(
    RATIO, LEARNING_RATE, L2, Column("tuned_by", TEXT, "what chose the last two", optional=True)
)
ITERATIVE_TRIALS = TRIALS.with_columns(
    *(SHARE, LEARNING_RATE, L2),
    Column("begin", WHOLE, "steps of the initial training"),
    Column("iterations", WHOLE, "steps after them"),
)
TUNING_TRIALS = TRIALS.with_columns(
    Column("step", TEXT, "of the search", values=("rates", "factors", "final", "adaptive")),
    Column("round", WHOLE, "of the search, from 0"),
    *(RATIO, LEARNING_RATE, L2, STEPS_TO_TAKE),
)
BASELINES_TRIALS = TRIALS.with_columns(
    Column("model", TEXT, "which network, or random"),
    BATCH_SIZE,
    LEARNING_RATE,
    Column("dropout", FLAG, "whether there is any"),
    Column("augmentation", TEXT, "of the training images", values=("none", "on the fly", "expand")),
    Column("split_first", FLAG, "False with the mistake of augmenting before splitting"),
)
TRANSFER_TRIALS = TRIALS.with_columns(
    METHOD,
    *PRETRAINED,
    HEAD,
    FINE_TUNING,
    Column("optimizer", TEXT, "its name, or empty"),
    replace(LEARNING_RATE, missing=True),
    Column("weight_decay", NUMBER, "of the optimizer", missing=True),
    replace(BATCH_SIZE, missing=True),
    Column("epochs", WHOLE, "at most"),
    Column("patience", WHOLE, "epochs without an improvement until training stops", missing=True),
    Column("augmented", FLAG, "whether trained on varied views of the images"),
)
TRAINING_SETS = Table(
    "training sets",
    (TRIAL, Column("phase", TEXT, "of the training", optional=True), ID),
    key=("trial", "phase", "id"),
)
BACKBONES = Table(
    "backbones",
    (
        *PRETRAINED,
        Column("classes", WHOLE, "of the network as it came"),
        Column("features", WHOLE, "of an image"),
        PARAMETERS,
        IMAGES_PER_SECOND,
    ),
    key=("backbone", "weights", "input_size"),
)

# How training went on: one row a trial, evaluation and split.
HISTORY = Table("history", (TRIAL, Column("iteration", WHOLE, "steps taken"), SPLIT), ("trial", "iteration", "split"))
SWEEP_HISTORY = HISTORY.with_columns(Column("loss", NUMBER, "mean of training so far", missing=True), *ACCURACIES)
EPOCHS_HISTORY = HISTORY.with_columns(
    Column("epoch", WHOLE, "epochs completed"),
    Column("cross_entropy", NUMBER, "mean over the images", missing=True),
    accuracy("top1"),
    replace(SECONDS, missing=True),
)
TRANSFER_HISTORY = EPOCHS_HISTORY.with_columns(Column("phase", TEXT, "what was trained"))

# How training ended: one row a trial.
OUTCOMES = Table("outcomes", (TRIAL, STATUS, REASON, STEPS_TAKEN), key=("trial",))
SWEEP_OUTCOMES = OUTCOMES.with_columns(
    Column("stack_size", WHOLE, "trials that trained together", optional=True, missing=True),
    Column("stack_seconds", NUMBER, "time of training of them all", "s", optional=True, missing=True),
)
EPOCHS_OUTCOMES = OUTCOMES.with_columns(EPOCHS, BEST_EPOCH, SECONDS, PARAMETERS)
BASELINES_OUTCOMES = EPOCHS_OUTCOMES.with_columns(accuracy("views_top1", "on views of the validation images"))
TRANSFER_OUTCOMES = EPOCHS_OUTCOMES.with_columns(TRAINED_PARAMETERS)

# What models say of held-out images: one row a model and image.
PREDICTIONS = Table(
    "predictions",
    (
        *(TRIAL, SNAPSHOT, ID),
        Column("prediction_1", TEXT, "the most probable category"),
        Column("probability_1", NUMBER, "of that category", FRACTION),
    ),
    key=("trial", "snapshot", "id"),
    more=(
        Column("prediction_<k>", TEXT, "the k-th most probable category, if there are k", missing=True),
        Column("probability_<k>", NUMBER, "of that category", FRACTION, missing=True),
    ),
)
INTERPOLATIONS = replace(
    PREDICTIONS,
    name="predictions of interpolated networks",
    columns=(TRIAL, Column("snapshot", TEXT, "alpha_0.30: share of the second network"), *PREDICTIONS.columns[2:]),
)
JOINED_PREDICTIONS = replace(
    PREDICTIONS.with_columns(DOMAIN, CATEGORY, SPLIT, LEAKS, CLUSTER, PIXEL_ROW),
    name="joined predictions",
    more=(*PREDICTIONS.more, Column("top<k>", FLAG, "whether the category is among the first k predictions")),
)
PROBABILITIES = Table(
    "probabilities",
    (Column("view", TEXT, "what of the image is shown: whole, centre, ..."), ID),
    key=("view", "id"),
    more=(Column("<category>", NUMBER, "probability of the category", FRACTION),),
)
MEMBERS = Table(
    "members",
    (TRIAL, METHOD, JOINED, Column("views", WHOLE, "averaged, 1 for an ensemble")),
    key=("trial",),
)

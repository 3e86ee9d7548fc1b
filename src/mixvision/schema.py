"""The tables that carry everything from node to node: their columns, types, units and keys.

The catalog names a table (``schema: predictions``); `mixvision.datasets.tables.TableDataset` then reads its columns
with the types given here, and checks it when it is written and when it is first read. So a misspelled column fails at
the border, in a sentence, and code in between may go on saying ``frame["trial"]``. What builds or takes apart a whole
table asks it: ``PREDICTIONS.empty()``, ``MANIFEST.names``, ``METRICS.key``.

To add a column: add a `Column` to its table here and fill it where the table is made. To add a table: declare it here,
name it in `TABLES` and in the catalog. A file that lacks the new column is then refused, and the sentence says how to
renew it; a column that older files may do without is ``optional``.
"""

from __future__ import annotations

from dataclasses import replace

from mixvision import vocabulary
from mixvision.columns import FLAG, NUMBER, TEXT, WHOLE, Column, Table
from mixvision.vocabulary import DOMAINS, INDEPENDENT, SPLITS, TEST_SPLITS

FRACTION = "fraction"


def table_named(name: str) -> Table:
    """The table that the catalog calls so; raises ValueError where there is none."""
    if name not in TABLES:
        raise ValueError(f"schema is {name!r}, but mixvision/schema.py declares only {', '.join(TABLES)}.")
    return TABLES[name]


def _accuracy(name: str, meaning: str = "accuracy", optional: bool = False, metric: bool = False) -> Column:
    return Column(name, NUMBER, meaning, FRACTION, optional, missing=True, metric=metric)


# Columns that several tables share.
TRIAL = Column("trial", TEXT, "name of a model")
SNAPSHOT = Column("snapshot", TEXT, "state of the network: best_validation, last, ...")
ID = Column("id", TEXT, "image: its domain and path")
DOMAIN = Column("domain", TEXT, "kind of image", values=DOMAINS)
CATEGORY = Column("category", TEXT, "what the image shows")
SPLIT = Column("split", TEXT, "images measured on", values=(*SPLITS, INDEPENDENT))
SEED = Column("seed", WHOLE, "of all that is drawn for the trial")
RATIO = Column("ratio", WHOLE, "share of real images in the training set", "%")
SHARE = Column("share", WHOLE, "of the iterations for the initial training", "%")
LEARNING_RATE = Column("learning_rate", NUMBER, "at the beginning")
L2 = Column("l2", NUMBER, "factor on half the sum of squared weights")
BATCH_SIZE = Column("batch_size", WHOLE, "of a training step", "images")
STEPS_TAKEN = Column("iterations", WHOLE, "steps taken")
STEPS_TO_TAKE = Column("iterations", WHOLE, "steps to take")
EPOCHS = Column("epochs", WHOLE, "trained")
BEST_EPOCH = Column("best_epoch", WHOLE, "best on the validation images, 0 where there is none")
SECONDS = Column("seconds", NUMBER, "time of training", "s")
PARAMETERS = Column("parameters", WHOLE, "of the whole network")
TRAINED_PARAMETERS = Column("trained_parameters", WHOLE, "that training changes")
METHOD = Column("method", TEXT, "how a pretrained network is used, or what of several models is joined")
BACKBONE = Column("backbone", TEXT, "which pretrained network, or empty")
INPUT_SIZE = Column("input_size", WHOLE, "side of the images that it is given", "pixels")
PRETRAINED = (
    BACKBONE,
    Column("weights", TEXT, "where its weights come from"),
    Column("source", TEXT, "of the weights, in words"),
    Column("sha256", TEXT, "hash of the weights, or empty"),
    INPUT_SIZE,
)
IMAGES_PER_SECOND = Column("images_per_second", NUMBER, "through the network")
JOINED = Column("members", TEXT, "models that are joined, or empty")
HEAD = Column("head", TEXT, "which head is trained, or empty")
FINE_TUNING = Column("fine_tuning", TEXT, "which plan is followed, or empty")
STATUS = Column("status", TEXT, "how the training ended", values=("finished", "failed", "pruned"))
REASON = Column("reason", TEXT, "why the training failed, or empty")
CLUSTER = Column("cluster", WHOLE, "of near-duplicates, -1 where excluded")
LEAKS = Column("leaks", FLAG, "whether a near-duplicate is on the other side")
PIXEL_ROW = Column("pixel_row", WHOLE, "place in pixels.npy of the domain, -1 where the file was not decoded")
MEASURES = tuple(_accuracy(name, "accuracy, or the geometric mean of both domains'") for name in vocabulary.METRICS)

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
SWEEP_HISTORY = HISTORY.with_columns(Column("loss", NUMBER, "mean of training so far", missing=True), *MEASURES)
EPOCHS_HISTORY = HISTORY.with_columns(
    Column("epoch", WHOLE, "epochs completed"),
    Column("cross_entropy", NUMBER, "mean over the images", missing=True),
    _accuracy("top1"),
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
BASELINES_OUTCOMES = EPOCHS_OUTCOMES.with_columns(_accuracy("views_top1", "on views of the validation images"))
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

# How good models are.
_MEASURED = Table("metrics", (TRIAL, SNAPSHOT, SPLIT), key=("trial", "snapshot", "split"))
METRICS = _MEASURED.with_columns(
    *(replace(measure, metric=True) for measure in MEASURES),
    *(Column(f"{domain}_images", WHOLE, "measured on") for domain in DOMAINS),
)
OVERALL_METRICS = replace(
    _MEASURED.with_columns(
        Column("images", WHOLE, "measured on"),
        *(_accuracy(f"{domain}_top1", optional=True, metric=True) for domain in DOMAINS),
    ),
    more=(_accuracy("top<k>", "whether the category is among the first k predictions", metric=True),),
)
METRIC_TABLE = Table(
    "metric table",
    (
        *(replace(setting, optional=True) for setting in (RATIO, SHARE)),
        *(SNAPSHOT, Column("trials", WHOLE, "which the mean is over"), *MEASURES),
        *(_accuracy(f"{measure.name}_std", "standard deviation over the trials") for measure in MEASURES),
        *(_accuracy(f"performance_{top}_{end}") for top in ("top1", "top3") for end in ("low", "high")),
        _accuracy("validation_performance_top1"),
        *(replace(measure, name=f"published_{measure.name}", optional=True) for measure in MEASURES),
    ),
    key=("ratio", "share", "snapshot"),
)
SCORES = TUNING_TRIALS.with_columns(
    STATUS,
    Column("trained_iterations", WHOLE, "steps taken"),
    _accuracy("performance_top1", "best on the validation images", metric=True),
)
ARRIVALS = Table(
    "arrivals",
    (
        Column("run", WHOLE, "of the pipeline, from 1"),
        STEPS_TAKEN,
        *(
            Column(f"{domain}_{name}", WHOLE, "images")
            for name in ("new", "buffer", "trained", "measured")
            for domain in DOMAINS
        ),
        *(_accuracy(f"{name}_top1", "before learning from them", metric=True) for name in (*DOMAINS, "performance")),
    ),
    key=("run",),
)

# All numbers of transfer learning, one row a model.
_TESTED = tuple(
    _accuracy(name, f"on the {split} images", optional=split == INDEPENDENT)
    for split in TEST_SPLITS
    for name in (f"{split}_top1", f"{split}_low", f"{split}_high", f"last_{split}_top1")
)
_CALIBRATED = tuple(
    _accuracy(f"{name}{suffix}", meaning, optional=bool(suffix))
    for suffix in ("", f"_{INDEPENDENT}")
    for name, meaning in (("ece", "expected calibration error"), ("outside", "answers outside the study's categories"))
)
TRANSFER_TABLE = Table(
    "models",
    (
        *(TRIAL, METHOD, BACKBONE, replace(INPUT_SIZE, missing=True), HEAD, FINE_TUNING),
        *(replace(IMAGES_PER_SECOND, missing=True), JOINED, STATUS, REASON),
        *(replace(column, missing=True) for column in (EPOCHS, BEST_EPOCH, PARAMETERS, TRAINED_PARAMETERS, SECONDS)),
        Column("megabytes", NUMBER, "of the weights as float32", "MB", missing=True),
        *(_accuracy(f"{split}_top1") for split in ("train", "validation")),
        _accuracy("last_validation_top1"),
        *_TESTED,
        *(_accuracy(f"{domain}_test_top1", optional=True) for domain in DOMAINS),
        *_CALIBRATED,
    ),
    key=("trial",),
    more=tuple(_accuracy(f"{split}_top<k>") for split in TEST_SPLITS),
)

TABLES = {  # by the name in the catalog, that of the pipeline first where each has its own
    "manifest": MANIFEST,
    "excluded_files": EXCLUDED_FILES,
    "split_audit": SPLIT_AUDIT,
    "mistakes": MISTAKES,
    "training_sets": TRAINING_SETS,
    "predictions": PREDICTIONS,
    "joined_predictions": JOINED_PREDICTIONS,
    "probabilities": PROBABILITIES,
    **{f"{study}.history": SWEEP_HISTORY for study in ("mixing", "iterative", "tuning")},
    **{f"{study}.outcomes": SWEEP_OUTCOMES for study in ("mixing", "iterative", "tuning")},
    **{f"{study}.metrics": METRICS for study in ("mixing", "iterative")},
    **{f"{study}.metric_table": METRIC_TABLE for study in ("mixing", "iterative")},
    "mixing.trials": MIXING_TRIALS,
    "iterative.trials": ITERATIVE_TRIALS,
    "tuning.trials": TUNING_TRIALS,
    "tuning.scores": SCORES,
    "streams.arrivals": ARRIVALS,
    "baselines.trials": BASELINES_TRIALS,
    "baselines.history": EPOCHS_HISTORY,
    "baselines.outcomes": BASELINES_OUTCOMES,
    "baselines.metrics": OVERALL_METRICS,
    "transfer.backbones": BACKBONES,
    "transfer.trials": TRANSFER_TRIALS,
    "transfer.history": TRANSFER_HISTORY,
    "transfer.outcomes": TRANSFER_OUTCOMES,
    "transfer.members": MEMBERS,
    "transfer.metrics": OVERALL_METRICS,
    "transfer.table": TRANSFER_TABLE,
}

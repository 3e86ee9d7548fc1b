"""Columns that several tables share."""

from __future__ import annotations

from mixvision import vocabulary
from mixvision.schema.columns import FLAG, FRACTION, NUMBER, TEXT, WHOLE, Column
from mixvision.vocabulary import (
    AFTER_INITIAL,
    BEST_IN,
    DOMAINS,
    FINISHED,
    INDEPENDENT,
    MISSING,
    PRUNED,
    SNAPSHOTS,
    SPLITS,
)


def accuracy(name: str, meaning: str = "accuracy", optional: bool = False, metric: bool = False) -> Column:
    """A column of fractions, missing where nothing was measured."""
    return Column(name, NUMBER, meaning, FRACTION, optional, missing=True, metric=metric)


TRIAL = Column("trial", TEXT, "name of a model")
SNAPSHOT = Column("snapshot", TEXT, "state of the network", values=(*SNAPSHOTS, *BEST_IN.values(), AFTER_INITIAL))
ID = Column("id", TEXT, "image: its domain and path")
DOMAIN = Column("domain", TEXT, "kind of image", values=DOMAINS)
CATEGORY = Column("category", TEXT, "what the image shows")
SPLIT = Column("split", TEXT, "which images were measured", values=(*SPLITS, INDEPENDENT))
SEED = Column("seed", WHOLE, "seed of the trial's random numbers")
RATIO = Column("ratio", WHOLE, "share of real images in the training set", "%")
SHARE = Column("share", WHOLE, "share of the iterations spent on the initial training", "%")
LEARNING_RATE = Column("learning_rate", NUMBER, "initial learning rate")
L2 = Column("l2", NUMBER, "factor on half the sum of squared weights")
BATCH_SIZE = Column("batch_size", WHOLE, "size of a training batch", "images")
STEPS_TAKEN = Column("iterations", WHOLE, "steps taken")
STEPS_TO_TAKE = Column("iterations", WHOLE, "steps to take")
EPOCHS = Column("epochs", WHOLE, "epochs trained")
BEST_EPOCH = Column("best_epoch", WHOLE, "best epoch on the validation images, or 0")
SECONDS = Column("seconds", NUMBER, "training time", "s")
PARAMETERS = Column("parameters", WHOLE, "parameters of the whole network")
TRAINED_PARAMETERS = Column("trained_parameters", WHOLE, "parameters that training changes")
METHOD = Column("method", TEXT, "how a pretrained network is used, or several models are combined")
BACKBONE = Column("backbone", TEXT, "pretrained network, or empty")
INPUT_SIZE = Column("input_size", WHOLE, "side length of the network's input", "pixels")
PRETRAINED = (
    BACKBONE,
    Column("weights", TEXT, "where its weights come from"),
    Column("source", TEXT, "of the weights, in words"),
    Column("sha256", TEXT, "hash of the weights, or empty"),
    INPUT_SIZE,
)
IMAGES_PER_SECOND = Column("images_per_second", NUMBER, "speed of the network")
JOINED = Column("members", TEXT, "models that are combined, or empty")
HEAD = Column("head", TEXT, "head that is trained, or empty")
FINE_TUNING = Column("fine_tuning", TEXT, "plan of the fine-tuning, or empty")
STATUS = Column("status", TEXT, "how the training ended", values=(FINISHED, PRUNED, *MISSING))
REASON = Column("reason", TEXT, "why there is no result, or empty")
AVERAGED = Column("trials", WHOLE, "number of trials averaged")
COMPONENT = Column("component", WHOLE, "near-duplicates and groups linked together, -1 if excluded")
LEAKS = Column("leaks", FLAG, "whether its component is also in training or, of a test image, in validation")
PIXEL_ROW = Column("pixel_row", WHOLE, "row in the domain's pixels.npy, -1 if the file was not decoded")
BY_CATEGORY = tuple(
    accuracy(name, "lowest recall of a category, mean recall, or mean F1, in the domain")
    for name in vocabulary.CATEGORY_METRICS
)
ACCURACIES = tuple(accuracy(name, "accuracy, or its geometric mean over both domains") for name in vocabulary.METRICS)

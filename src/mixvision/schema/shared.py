"""Columns that several tables share."""

from __future__ import annotations

from mixvision import vocabulary
from mixvision.schema.columns import FLAG, FRACTION, NUMBER, TEXT, WHOLE, Column
from mixvision.vocabulary import AFTER_INITIAL, DOMAINS, INDEPENDENT, SNAPSHOTS, SPLITS


def accuracy(name: str, meaning: str = "accuracy", optional: bool = False, metric: bool = False) -> Column:
    """A fraction that may be missing, where nothing was measured."""
    return Column(name, NUMBER, meaning, FRACTION, optional, missing=True, metric=metric)


TRIAL = Column("trial", TEXT, "name of a model")
SNAPSHOT = Column("snapshot", TEXT, "state of the network", values=(*SNAPSHOTS, AFTER_INITIAL))
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
AVERAGED = Column("trials", WHOLE, "which the mean is over")
CLUSTER = Column("cluster", WHOLE, "of near-duplicates, -1 where excluded")
LEAKS = Column("leaks", FLAG, "whether a near-duplicate is on the other side")
PIXEL_ROW = Column("pixel_row", WHOLE, "place in pixels.npy of the domain, -1 where the file was not decoded")
ACCURACIES = tuple(accuracy(name, "accuracy, or the geometric mean of both domains'") for name in vocabulary.METRICS)

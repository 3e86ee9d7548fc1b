"""The terms that pages use, each explained in a sentence or two; every page lists those that it uses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """An entry of the glossary.

    Attributes:
        meaning: the explanation.
        pattern: a regular expression that finds the term in a text.
    """

    meaning: str
    pattern: str


# In the order of explanation.
GLOSSARY = {
    "nice, real": Term(
        "the two kinds of images (domains): clean catalogue pictures, and photos from the real world.",
        r"\b(nice|real|domains?)\b",
    ),
    "% real": Term(
        "share of real images in the training set, in per cent; also called the ratio.",
        r"% real|(?<!aspect )\bratios?\b",
    ),
    "% initial": Term(
        "share of the iterations spent on the first domain (initial training), in per cent. The remaining ones are "
        "spent on the second domain (restricted training).",
        r"% initial|\b(initial|restricted) training\b",
    ),
    "validation, test": Term(
        "images that no network trains on (held-out images). Choices, such as when to stop and which model is best, "
        "are made on the validation images; results are measured on the test images.",
        r"\b(validation|test) (images?|sets?|accurac\w+|performances?)\b|\bheld[- ]out\b",
    ),
    "top-1, top-k": Term(
        "accuracy is the fraction of images, from 0 to 1, whose true category is the most probable one (top-1) or "
        "among the k most probable ones (top-k).",
        r"\btop[- ]?[\dk]\b",
    ),
    "performance": Term(
        "the square root of nice accuracy times real accuracy; it is high only if both accuracies are. It hides which "
        "of them is lower, and how single categories fare.",
        r"\bperformances?\b",
    ),
    "snapshot": Term(
        "the weights of a network at one moment of its training, such as its end (called last in the files).",
        r"\bsnapshots?\b",
    ),
    "chosen on validation": Term(
        "the snapshot (best_validation in the files) that scored highest on the validation images. The test images "
        "play no part in this choice, so results on them are unbiased.",
        r"\b(best_|chosen on (the )?)validation\b",
    ),
    "chosen on nice (or real) validation images": Term(
        "the snapshot (best_validation_nice or best_validation_real in the files) that scored highest on the "
        "validation images of that domain alone.",
        r"\bchosen on (nice|real) validation images\b|\bbest_validation_(nice|real)\b",
    ),
    "chosen on test": Term(
        "the snapshot (best_test in the files) that scored highest on the test images themselves, as in the paper. "
        "Results on the same images are therefore never too low and often too high.",
        r"\bbest_test\b|\b(best|chosen) on (the )?test\b",
    ),
    "after initial training": Term(
        "the snapshot (after_initial in the files) at the end of the initial training.",
        r"\bafter[_ ]initial\b",
    ),
    "95% interval": Term(
        "computed such that it holds the true result, that on all such images, in 95% of such studies: a score "
        "interval (Wilson's) for the number of independent images that would be as informative as the test images. "
        "With several seeds it also covers how training varies.",
        r"\b95% interval|\bscore interval",
    ),
    "cannot be told from the best": Term(
        "no other one is certainly better: with 95% probability the best one is among those that cannot be told from "
        "it. All pairs are looked at at once, with a wider margin the more there are.",
        r"\bcannot tell (it|the faintly green \w+) from\b|\bnot told apart from the best\b",
    ),
    "near-duplicate": Term(
        "an image that looks almost like another one. Images linked in this way form a cluster.",
        r"\bnear-duplicates?\b|\bclusters?\b",
    ),
    "group": Term(
        "images of the same object, scene, person or day, by the setting group of their source.", r"\bgroups?\b"
    ),
    "component": Term(
        "near-duplicates and groups linked together. A grouped split does not divide it.", r"\bcomponents?\b"
    ),
    "leak": Term(
        "a held-out image leaks if a near-duplicate of it, or another image of its group, is in training "
        "or, for a test image, in validation. Results on such images look better than they are.",
        r"\bleak",
    ),
    "method": Term(
        'how images are divided: "grouped" keeps components whole, "plain" ignores them, "published" takes the splits '
        "that a data set comes with.",
        r"\bmethod (grouped|plain|published)\b",
    ),
    "a single object": Term(
        "all images of the category are in one component, for example because one object was filmed on a turntable.",
        r"\ba single object\b",
    ),
    "iteration": Term("one training step, on one batch of images.", r"\biterations?\b"),
    "learning rate": Term(
        "how far each training step moves the weights; where it changes during training, its value at the start.",
        r"\blearning[ _]rates?\b",
    ),
    "L2": Term("factor of the penalty on squared weights, which keeps them small.", r"\bL2\b"),
    "iterations between evaluations": Term(
        "how often the held-out images are classified during training; likewise, how often its state is saved.",
        r"\biterations between (evaluations|saved states)\b",
    ),
    "models trained together": Term(
        "the most models that train as one network; automatic: as many as suit the device.",
        r"\bmodels trained together\b",
    ),
    "accelerator": Term("the device used for training: cpu, gpu, or auto (a GPU if there is one).", r"\baccelerator\b"),
    "precision 32-true": Term(
        "all numbers have 32 bits; bf16-mixed uses 16 bits where that is faster, 64-true uses 64.",
        r"\b(32|64)-true\b|\bbf16-mixed\b",
    ),
    "trial": Term("one model with its settings.", r"\btrials?\b"),
    "seed": Term(
        "the number that fixes all random choices of a training; models that differ only in it show how much training "
        "varies.",
        r"\bseeds?\b",
    ),
    "diverged": Term("a training whose loss became infinite or not a number.", r"\bdiverge"),
    "pruned": Term("stopped early because it did worse than the median of the earlier trials.", r"\bpruned\b"),
    "model-iterations": Term("iterations added up over all models.", r"\bmodel-iterations?\b"),
    "forgetting": Term(
        "accuracy on the first domain after the initial training minus that at the end (Chaudhry et al., 2018).",
        r"\bforgetting\b",
    ),
    "backward transfer": Term(
        "accuracy on the first domain at the end minus that after the initial training (Lopez-Paz and Ranzato, 2017); "
        "with two domains it is the negative of forgetting.",
        r"\bbackward transfer\b",
    ),
    "average accuracy": Term("the mean of both domains' accuracies at the end.", r"\baverage accuracy\b"),
    "performance gain": Term(
        "performance at the end of the restricted training minus that at the end of the initial training.",
        r"\bperformance gain\b",
    ),
    "replay": Term("share of first-domain images in the second (restricted) training, in per cent.", r"\breplay"),
    "arm": Term("one of the ways to train that are compared.", r"\barms?\b"),
    "forward transfer": Term(
        "accuracy on the second domain before any of its images was seen, minus that of guessing (Lopez-Paz and "
        "Ranzato, 2017).",
        r"\bforward transfer\b",
    ),
    "WiSE-FT, alpha": Term(
        "a network with weights between those of two others (Wortsman et al., 2022): (1 - alpha) times those of the "
        "first plus alpha times those of the second.",
        r"\bWiSE-FT\b|\balphas?\b|\binterpolated weights\b",
    ),
    "backbone, features": Term(
        "a pretrained network without its last layer, and the numbers that it computes from an image.",
        r"\bbackbones?\b|\bfeatures\b",
    ),
    "head": Term("the last layers of a network, which tell the categories apart.", r"\bheads?\b"),
    "fine-tuned": Term(
        "first a head is trained while the backbone is frozen, then parts of the backbone are trained as well.",
        r"\bfine-tun",
    ),
    "as is": Term(
        "a pretrained network without further training, which chooses among the 1,000 categories of ImageNet; "
        '"restricted" means that it may only choose among those of the study.',
        r"\bas is\b",
    ),
    "views": Term("altered versions of an image: cropped, mirrored, rotated.", r"\bviews?\b"),
    "augmentation": Term(
        "training on views of the images: on new ones in every epoch (on the fly), or on a fixed set that is made "
        "before training (expand).",
        r"\baugment|\bon the fly\b|\bexpand",
    ),
    "ensemble": Term(
        "several models whose probabilities are combined, by their mean or by fitted weights (stacked).",
        r"\bensembles?\b|\bstacked\b",
    ),
    "precision, recall, F1": Term(
        "of the images that are assigned to a category, the fraction that belong to it (precision); of the images of a "
        "category, the fraction that are assigned to it (recall); the harmonic mean of both (F1).",
        r"\bF1\b|\brecall\b",
    ),
    "worst category, balanced accuracy, macro-F1": Term(
        "the lowest recall of any category that has test images, the mean of their recalls, and the mean of their F1. "
        "Each category counts alike, however many images it has.",
        r"\bworst category\b|\bbalanced accurac\w+|\bmacro-F1\b",
    ),
    "ECE": Term(
        "expected calibration error (Guo et al., 2017): the mean difference between how sure a model is (its highest "
        "probability) and how often it is right; 0 is best.",
        r"\bECE\b",
    ),
    "prequential": Term(
        'measured by "test, then train": new images are classified before the network learns from them.',
        r"\bprequential\b",
    ),
    "buffer": Term("the newest images of a domain; training images are taken from it.", r"\bbuffers?\b"),
}


def explain_terms(texts: Iterable[str]) -> dict[str, str]:
    """The terms of the glossary that these texts or the explanations themselves use, each with its meaning."""
    text = "\n".join(texts)
    used: set[str] = set()
    while new := {name for name, term in GLOSSARY.items() if name not in used and re.search(term.pattern, text, re.I)}:
        used |= new
        text = "\n".join(GLOSSARY[name].meaning for name in new)
    return {name: term.meaning for name, term in GLOSSARY.items() if name in used}

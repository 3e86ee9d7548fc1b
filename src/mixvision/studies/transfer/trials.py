"""The transfer study: pretrained networks as they are, with new heads on their features, and fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import pandas as pd

from mixvision.models.backbones import Backbone, PretrainedBackbone, require_input_size
from mixvision.models.heads import HEADS
from mixvision.models.imagenet import CLASSES, imagenet_classes
from mixvision.parameter_types import require_choice, require_types
from mixvision.reporting.formatting import view_settings
from mixvision.training.config import EpochTraining, is_number
from mixvision.training.fine_tuning.config import FineTuning
from mixvision.training.optimizer import OPTIMIZERS
from mixvision.transforms.augmentation import Augmentation
from mixvision.transforms.test_time import TEST_VIEWS
from mixvision.vocabulary import AS_IS, FINE_TUNED, HEAD, RESTRICTED

_AS_IS_NAMES = {AS_IS: "as-is", RESTRICTED: "as-is-restricted"}  # of the trials


@dataclass(frozen=True)
class Transfer:
    """Which pretrained networks to transfer, and how.

    Attributes:
        backbones: timm's names, each with the source of its weights: "package", "download", "random" or the path of a
            file (see :class:`mixvision.models.backbones.Backbone`). None leaves one out, as settings that are merged
            with others cannot remove a line.
        input_sizes: sides of the networks' input in pixels, 32 or more; if empty, each network's own.
        heads: those to train on the frozen features, names in ``mixvision.models.heads.HEADS``.
        optimizer, learning_rate, weight_decay, batch_size: of the heads' training (the studies: Adam with 1e-3, or SGD
            with 0.01).
        fine_tunings: trainings that start from a trained head, at the largest input size; see
            :class:`mixvision.training.fine_tuning.config.FineTuning`.
        test_views: further views of the test images, "none", "flip" or "crops" (which includes mirrored ones).
        ensemble: how many of the best models are combined, 2 or more.
        ratios: per cent of real images for which a linear head is trained on the features of the first backbone, where
            both domains have training images.
        seed: of initial weights, order of images, views and dropout.
    """

    backbones: Mapping[str, str] = field(default_factory=lambda: {"tf_efficientnet_lite0": "package"})
    input_sizes: tuple[int, ...] = ()
    heads: tuple[str, ...] = tuple(HEADS)
    optimizer: str = "adam"
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    batch_size: int = 64
    fine_tunings: tuple[FineTuning, ...] = ()
    test_views: str = "flip"
    ensemble: int = 3
    ratios: tuple[int, ...] = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    seed: int = 0

    def __post_init__(self) -> None:
        require_types(self, "optimizer", "test_views")
        self._make_tuples()
        self._require_models()
        self._require_fine_tunings()
        self._require_training()

    def all_backbones(self) -> list[Backbone]:
        return [Backbone(name, str(weights)) for name, weights in self.backbones.items() if weights is not None]

    def require_available(self) -> None:
        """Raise FileNotFoundError if a backbone's weights are missing; runs ask this before they do anything."""
        for backbone in self.all_backbones():
            backbone.require_available()

    def _make_tuples(self) -> None:
        for name in ("input_sizes", "heads", "fine_tunings", "ratios"):
            if not isinstance(getattr(self, name), list | tuple):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a list.")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("input_sizes", "heads", "ratios"):
            if any(getattr(self, name).count(value) > 1 for value in getattr(self, name)):
                raise ValueError(f"{name} is {list(getattr(self, name))}; list each value only once.")

    def _require_models(self) -> None:
        if not isinstance(self.backbones, Mapping) or not self.all_backbones():  # each of which checks itself
            raise ValueError(f"backbones is {self.backbones!r}; give lines of the form `resnet50: download`.")
        if any(type(size) is not int or size < 32 for size in self.input_sizes):
            raise ValueError(f"input_sizes is {list(self.input_sizes)}; give whole numbers of pixels, 32 or more.")
        if not self.heads or not set(self.heads) <= set(HEADS):
            raise ValueError(f"heads is {list(self.heads)}; give one or more of {', '.join(HEADS)}.")

    def _require_fine_tunings(self) -> None:
        object.__setattr__(self, "fine_tunings", tuple(map(_as_fine_tuning, self.fine_tunings)))
        names = [*(plan.name for plan in self.fine_tunings), *self.heads, *_AS_IS_NAMES.values()]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"Two models would be called {repeated[0]!r}: give every fine-tuning a name of its own.")
        for plan in self.fine_tunings:
            if plan.head not in self.heads:
                raise ValueError(
                    f"The fine-tuning {plan.name!r} starts from the head {plan.head!r}, which is not one of heads, "
                    f"{list(self.heads)}: add it there, or name one of those."
                )

    def _require_training(self) -> None:
        require_choice("optimizer", self.optimizer, OPTIMIZERS)
        if not is_number(self.learning_rate) or self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate!r}; give a number above 0.")
        if not is_number(self.weight_decay) or self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay!r}; give a number of 0 or more.")
        require_choice("test_views", self.test_views, TEST_VIEWS)
        for name, least in (("batch_size", 2), ("ensemble", 2), ("seed", 0)):
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a whole number of {least} or more.")
        if any(type(ratio) is not int or not 0 <= ratio <= 100 for ratio in self.ratios):
            raise ValueError(f"ratios is {list(self.ratios)}; give whole percentages from 0 to 100.")


def list_trials(
    study: Transfer, backbones: pd.DataFrame, categories: list[str], training: EpochTraining
) -> pd.DataFrame:
    """One row per model: trial, method, backbone, weights, input_size, head, fine_tuning, seed, and how it is trained.

    That is: optimizer, learning_rate, weight_decay, batch_size, epochs (at most), patience (none in fine-tuning, which
    runs all epochs), and augmented, whether it is trained on augmented images.

    Args:
        study: what to train.
        backbones: one row per backbone and input size: backbone, weights, source, sha256, input_size, classes.
        categories: of the study. If all are ImageNet's, networks with its thousand classes are also used as they are,
            once free to choose among all classes and once restricted to the study's.
        training: how long heads are trained.

    Raises:
        ValueError: a category has a reserved name.
    """
    if reserved := sorted({"view", "id"} & set(categories)):
        raise ValueError(
            f"A category is called {reserved[0]!r}, like a column of the table of probabilities: rename its folder."
        )
    as_is = _AS_IS_NAMES if is_imagenet(categories) else {}
    rows, largest = [], backbones.groupby("backbone")["input_size"].max()
    for backbone in backbones.to_dict("records"):
        of_backbone = {name: backbone[name] for name in ("backbone", "weights", "source", "sha256", "input_size")}
        suffix = f"-{backbone['input_size']}" if backbones["input_size"].nunique() > 1 else ""
        prefix = f"{backbone['backbone']}-" if backbones["backbone"].nunique() > 1 else ""
        untrained: dict[str, object] = {"epochs": 0, "augmented": False}
        models = [(method, name, untrained) for method, name in as_is.items() if backbone["classes"] == CLASSES]
        models += [(HEAD, head, _head_settings(study, head, training)) for head in study.heads]
        if backbone["input_size"] == largest[backbone["backbone"]]:
            models += [(FINE_TUNED, plan.name, _plan_settings(plan)) for plan in study.fine_tunings]
        for method, name, settings in models:
            rows.append({"trial": f"{prefix}{name}{suffix}", "method": method, **of_backbone, **settings})
    trials = pd.DataFrame(rows).assign(seed=study.seed)
    return trials.fillna({"head": "", "fine_tuning": "", "optimizer": ""})


def shared_settings(trials: pd.DataFrame, augmentation: Augmentation, training: EpochTraining) -> dict[str, str]:
    """Settings that the trials do not have as columns: the device, the precision, and the views in fine-tuning."""
    views = vars(augmentation) if trials["augmented"].any() else {}
    shared = {"accelerator": training.accelerator, "precision": training.precision}
    return shared | view_settings("views in fine-tuning", views)


def input_sizes(study: Transfer, loaded: PretrainedBackbone) -> tuple[int, ...]:
    """Sides in pixels of a network's input: those of the study, or the network's own.

    Raises:
        ValueError: the network does not accept one of them.
    """
    for size in study.input_sizes:
        require_input_size(loaded, size)
    return study.input_sizes or (loaded.input_size,)


def is_imagenet(categories: list[str]) -> bool:
    """Whether every category is one of ImageNet's thousand classes."""
    return len(imagenet_classes(categories)) == len(categories)


def _as_fine_tuning(plan: object) -> FineTuning:
    if isinstance(plan, FineTuning):
        return plan
    names = [known.name for known in fields(FineTuning)]
    if not isinstance(plan, Mapping) or not set(plan) <= set(names):
        raise ValueError(f"one of fine_tunings is {plan!r}; give any of {', '.join(names)}.")
    return FineTuning(**plan)


def _head_settings(study: Transfer, head: str, training: EpochTraining) -> dict[str, object]:
    names = ("optimizer", "learning_rate", "weight_decay", "batch_size")
    settings = {name: getattr(study, name) for name in names}
    length = {"epochs": training.epochs, "patience": training.patience}
    return {"head": head, "fine_tuning": "", **settings, **length, "augmented": False}


def _plan_settings(plan: FineTuning) -> dict[str, object]:
    rate = max(phase.learning_rate for phase in plan.phases)
    names = ("optimizer", "weight_decay", "batch_size", "head", "epochs")
    settings = {name: getattr(plan, name) for name in names}
    return {"fine_tuning": plan.name, "learning_rate": rate, **settings, "augmented": True}

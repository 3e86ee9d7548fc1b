"""What the transfer study trains: names and methods of the trials, and messages for invalid settings."""

from __future__ import annotations

import pandas as pd
import pytest

from mixvision.models.backbones import Backbone, load_backbone
from mixvision.models.heads import HEADS
from mixvision.studies.transfer.trials import Transfer, input_sizes, is_imagenet, list_trials, shared_settings
from mixvision.training.config import EpochTraining
from mixvision.training.fine_tuning.config import FineTuning, Phase
from mixvision.transforms.augmentation import Augmentation

PLAN = {"name": "tuned", "head": "dense", "phases": [{"trainable_blocks": 2, "epochs": 1, "learning_rate": 0.01}]}
TRAINING = EpochTraining(epochs=7, patience=2)
DIGITS, PLANTS = ["0", "1"], ["daisy", "strawberry"]


def rows(*described: tuple[str, int], classes: int = 1000) -> pd.DataFrame:
    """Described backbones."""
    about = {"weights": "random", "source": "random start", "sha256": "", "classes": classes}
    return pd.DataFrame([{"backbone": name, "input_size": size, **about} for name, size in described])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"backbones": {}}, r"backbones is \{\}; give lines of the form `resnet50: download`"),
        ({"backbones": {"resnet50": None}}, r"backbones is \{'resnet50': None\}; give lines"),
        ({"backbones": ["resnet50"]}, r"backbones is \['resnet50'\]; give lines"),
        ({"backbones": {"resnet51": "download"}}, "'resnet51', which is not a model of timm"),
        ({"backbones": {"resnet50": "packaged"}}, "weights is 'packaged', but must be one of package, download"),
        ({"backbones": {"resnet50": "package"}}, "weights is 'package', but only"),
        ({"input_sizes": 96}, "input_sizes is 96; give a list"),
        ({"input_sizes": [31]}, r"input_sizes is \[31\]; give whole numbers of pixels, 32 or more"),
        ({"input_sizes": [96.0]}, r"input_sizes is \[96.0\]; give whole numbers"),
        ({"input_sizes": [96, 64, 96]}, r"input_sizes is \[96, 64, 96\]; list each value only once"),
        ({"heads": []}, r"heads is \[\]; give one or more of linear, dropout, dense, dense2"),
        ({"heads": ["deep"]}, r"heads is \['deep'\]; give one or more"),
        ({"heads": ["linear", "linear"]}, r"heads is \['linear', 'linear'\]; list each value only once"),
        ({"heads": "linear"}, "heads is 'linear'; give a list"),
        ({"optimizer": "lion"}, "optimizer is 'lion'; choose one of adam, sgd"),
        ({"learning_rate": 0}, "learning_rate is 0; give a number above 0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"weight_decay": -1}, "weight_decay is -1; give a number of 0 or more"),
        ({"batch_size": 1}, "batch_size is 1; give a whole number of 2 or more"),
        ({"batch_size": 8.0}, "batch_size is 8.0"),
        ({"ensemble": 1}, "ensemble is 1; give a whole number of 2 or more"),
        ({"seed": -1}, "seed is -1; give a whole number of 0 or more"),
        ({"seed": True}, "seed is True"),
        ({"test_views": "all"}, "test_views is 'all'; choose one of none, flip, crops"),
        ({"ratios": [0, 101]}, r"ratios is \[0, 101\]; give whole percentages from 0 to 100"),
        ({"ratios": [0.5]}, r"ratios is \[0.5\]"),
        ({"ratios": [0, 10, 10]}, r"ratios is \[0, 10, 10\]; list each value only once"),
        ({"ratios": None}, "ratios is None; give a list"),
        ({"fine_tunings": PLAN}, "fine_tunings is .*; give a list"),
        ({"fine_tunings": ["tuned"]}, "one of fine_tunings is 'tuned'; give any of name, head, phases"),
        (
            {"fine_tunings": [{**PLAN, "rate": 1}]},
            "one of fine_tunings is .*'rate': 1.*; give any of name,",
        ),
        ({"fine_tunings": [{**PLAN, "phases": []}]}, r"phases is \[\]"),
        ({"fine_tunings": [{**PLAN, "name": "dense"}]}, "Two models would be called 'dense'"),
        ({"fine_tunings": [PLAN, PLAN]}, "Two models would be called 'tuned'"),
        (
            {"fine_tunings": [{**PLAN, "name": "as-is"}]},
            "name is 'as-is'; give letters, digits, .*are reserved for other models",
        ),
        ({"fine_tunings": [{**PLAN, "name": "mean-of-3"}]}, "name is 'mean-of-3'; give letters"),
        ({"fine_tunings": [{**PLAN, "name": "stacked-2"}]}, "name is 'stacked-2'; give letters"),
        ({"fine_tunings": [{**PLAN, "name": "linear+views"}]}, r"name is 'linear\+views'; give letters"),
        ({"fine_tunings": [{**PLAN, "name": "all/slow"}]}, "name is 'all/slow'; give letters"),
        ({"fine_tunings": [{**PLAN, "name": ".."}]}, r"name is '\.\.'; give letters"),
        ({"fine_tunings": [{**PLAN, "name": "slow\n"}]}, r"name is 'slow\\n'; give letters"),
        ({"fine_tunings": [{**PLAN, "name": ""}]}, "name is ''; give letters"),
        (
            {"fine_tunings": [PLAN], "heads": ["linear"]},
            r"fine-tuning 'tuned' starts from the head 'dense', which is not one of heads, \['linear'\]: add it there",
        ),
    ],
)
def test_wrong_settings_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Transfer(**wrong)


def test_settings_as_yaml_gives_them():
    study = Transfer(
        backbones={"resnet10t": "random", "resnet18": "download"},
        heads=["dense"],
        fine_tunings=[PLAN],
        input_sizes=[96],
    )
    assert study.fine_tunings == (FineTuning("tuned", "dense", (Phase(2, 1, 0.01),)),)
    assert study.all_backbones() == [Backbone("resnet10t", "random"), Backbone("resnet18", "download")]
    assert (study.heads, study.input_sizes) == (("dense",), (96,))
    assert Transfer().heads == tuple(HEADS) and Transfer(ratios=[]).ratios == ()


def test_a_backbone_of_other_settings_can_be_removed():
    study = Transfer(backbones={"tf_efficientnet_lite0": None, "resnet18": "download"})
    assert study.all_backbones() == [Backbone("resnet18", "download")]


def test_the_networks_own_input_size_is_the_default():
    loaded = load_backbone(Backbone("resnet10t", "random"))
    assert input_sizes(Transfer(), loaded) == (176,) == (loaded.input_size,)
    assert input_sizes(Transfer(input_sizes=[64, 32]), loaded) == (64, 32)


def test_an_input_size_that_a_network_does_not_accept_is_refused():
    transformer = load_backbone(Backbone("levit_128s", "random"))
    assert input_sizes(Transfer(input_sizes=[224]), transformer) == (224,) == input_sizes(Transfer(), transformer)
    with pytest.raises(
        ValueError, match=r"levit_128s takes images of 224 pixels only: set input_sizes to \[224\] or \["
    ):
        input_sizes(Transfer(input_sizes=[224, 96]), transformer)
    inception = load_backbone(Backbone("inception_v3", "random"))
    with pytest.raises(ValueError, match=r"inception_v3 takes no images of 32 pixels: set input_sizes to \[299\] or"):
        input_sizes(Transfer(input_sizes=[32]), inception)


@pytest.mark.parametrize("name", ["fine-tuned", "all slowly", "v1.5_long", "langsam für alle", "NA", "7"])
def test_plain_names_are_accepted(name):
    assert FineTuning(name).name == name


@pytest.mark.parametrize(
    ("backbones", "names"),
    [
        (rows(("resnet10t", 96)), ["linear", "dense", "tuned"]),
        (rows(("resnet10t", 96), ("resnet10t", 64)), ["linear-96", "dense-96", "tuned-96", "linear-64", "dense-64"]),
        (
            rows(("resnet10t", 96), ("vgg16", 96)),
            ["resnet10t-linear", "resnet10t-dense", "resnet10t-tuned", "vgg16-linear", "vgg16-dense", "vgg16-tuned"],
        ),
        (
            rows(("resnet10t", 64), ("resnet10t", 96), ("vgg16", 64), ("vgg16", 96)),
            [
                *("resnet10t-linear-64", "resnet10t-dense-64"),
                *("resnet10t-linear-96", "resnet10t-dense-96", "resnet10t-tuned-96"),
                *("vgg16-linear-64", "vgg16-dense-64", "vgg16-linear-96", "vgg16-dense-96", "vgg16-tuned-96"),
            ],
        ),
    ],
)
def test_names_and_fine_tunings_at_the_largest_size_only(backbones, names):
    study = Transfer(heads=["linear", "dense"], fine_tunings=[PLAN], seed=3)
    trials = list_trials(study, backbones, DIGITS, TRAINING)
    assert trials["trial"].tolist() == names
    assert set(trials["method"]) == {"head", "fine-tuned"} and (trials["seed"] == 3).all()
    assert trials.loc[trials["method"] == "fine-tuned", "input_size"].eq(96).all()


def test_each_trial_says_how_it_is_trained():
    plan = {
        **PLAN,
        "optimizer": "sgd",
        "batch_size": 16,
        "weight_decay": 0.1,
        "phases": [Phase("head", 1, 0.1), Phase(1, 1, 0.3), Phase("all", 1, 0.2)],
    }
    study = Transfer(heads=["linear", "dense"], learning_rate=0.5, batch_size=8, weight_decay=0.2, fine_tunings=[plan])
    backbones = rows(("resnet10t", 96)).assign(source="a file", sha256="abc", weights="a.pth")
    trials = list_trials(study, backbones, DIGITS, TRAINING).set_index("trial")
    settings = ["head", "fine_tuning", "optimizer", "learning_rate", "weight_decay", "batch_size"]
    assert trials.loc["dense", settings].tolist() == ["dense", "", "adam", 0.5, 0.2, 8]
    assert trials.loc["tuned", settings].tolist() == ["dense", "tuned", "sgd", 0.3, 0.1, 16]
    lengths = ["epochs", "patience", "augmented"]
    assert trials.loc["dense", lengths].tolist() == [7, 2, False]
    assert trials.loc["tuned", ["epochs", "augmented"]].tolist() == [3, True] and pd.isna(
        trials.loc["tuned", "patience"]
    )
    assert (trials[["source", "sha256", "weights"]] == ["a file", "abc", "a.pth"]).all(axis=None)


def test_what_trials_share_are_views_only_where_some_are_fine_tuned():
    training = EpochTraining(accelerator="cpu", precision="64-true")
    trials = pd.DataFrame({"augmented": [False, True]})
    shared = shared_settings(trials, Augmentation(rotation=7), training)
    assert shared["views in fine-tuning: rotation"] == "7" and len(shared) == 10
    shared = shared_settings(trials.iloc[:1], Augmentation(), training)
    assert shared == {"accelerator": "cpu", "precision": "64-true"}


def test_networks_are_used_as_they_are_if_all_categories_are_imagenets():
    study = Transfer(heads=["linear"])
    trials = list_trials(study, rows(("resnet10t", 96), ("vgg16", 96)), PLANTS, TRAINING)
    assert trials["trial"].tolist() == [
        f"{name}-{model}" for name in ("resnet10t", "vgg16") for model in ("as-is", "as-is-restricted", "linear")
    ]
    as_is = trials[trials["method"] != "head"]
    assert as_is["method"].tolist() == ["as is", "as is, restricted"] * 2
    assert (as_is[["head", "fine_tuning", "optimizer"]] == "").all(axis=None)
    assert as_is[["learning_rate", "batch_size", "patience"]].isna().all(axis=None)
    assert as_is[["epochs", "augmented"]].values.tolist() == [[0, False]] * 4
    assert list_trials(study, rows(("resnet10t", 96)), [*PLANTS, "roses"], TRAINING)["trial"].tolist() == ["linear"]
    assert list_trials(study, rows(("resnet10t", 96), classes=21843), PLANTS, TRAINING)["trial"].tolist() == ["linear"]
    assert is_imagenet(PLANTS) and not is_imagenet([*PLANTS, "roses"])

"""Whatever stands where a number, a word or a list should stand is refused by the parameter's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import pytest

from mixvision.images.archives import Unpacking
from mixvision.images.categories import Categories
from mixvision.images.decoding import Decoding
from mixvision.images.duplicates import Duplicates
from mixvision.images.outliers import Outliers
from mixvision.images.splits import Splits
from mixvision.models.backbones import Backbone
from mixvision.parameter_types import require_choice, require_types
from mixvision.reporting.settings import ReportParameters
from mixvision.studies.baselines.training import Baselines
from mixvision.studies.conclusions.mixing_law import Proxies
from mixvision.studies.iterative.training import Phases
from mixvision.studies.sanity_check.overfitting import Overfitting
from mixvision.studies.streams.settings import OnlineLearning
from mixvision.studies.transfer.trials import Transfer
from mixvision.studies.tuning.adaptive import AdaptiveSearch
from mixvision.studies.tuning.grid import Grid
from mixvision.training.config import EpochTraining, Training
from mixvision.training.fine_tuning.config import FineTuning
from mixvision.training.mixtures import Mixtures

PARAMETERS = [
    *(Unpacking, Categories, Decoding, Duplicates, Outliers, Splits, Backbone, ReportParameters, Baselines, Proxies),
    *(Phases, Overfitting, OnlineLearning, Transfer, AdaptiveSearch, Grid, EpochTraining, Training, FineTuning),
    Mixtures,
]
ODD = ["ten", None, [], {}, -1, True, 1.5, float("nan"), ["ten"], [None], {"a": 1}]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_odd_values_are_accepted_or_refused_by_name(parameters):
    for field in fields(parameters):
        for odd in ODD:
            try:
                parameters(**{field.name: odd})
            except ValueError as error:
                assert field.name in str(error) or (field.name, odd) == ("backbones", {"a": 1}), odd


@dataclass
class Example:
    share: float = 0.5
    sizes: Sequence[Sequence[int]] = ()
    names: Mapping[str, str] | None = None
    quick: bool = False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"share": "half"}, "share is 'half'; give a number."),
        ({"share": True}, "share is True; give a number."),
        ({"share": float("inf")}, "share is inf; give a number."),
        ({"sizes": [[1], [2, "3"]]}, "sizes is [[1], [2, '3']]; give a list, each of whose elements is a list"),
        ({"names": ["a"]}, "names is ['a']; give a mapping or null."),
        ({"quick": 1}, "quick is 1; give true or false."),
    ],
)
def test_the_message_says_what_to_give(values, words):
    with pytest.raises(ValueError, match="give") as raised:
        require_types(Example(**values))
    assert str(raised.value).startswith(words)


def test_a_choice_that_is_not_there_names_the_nearest_and_all():
    choices = ("grouped", "plain", None)
    require_choice("method", None, choices)
    for value, words in (("plane", "did you mean 'plain'? Choose"), ("random", "choose"), (["plain"], "choose")):
        with pytest.raises(ValueError) as error:
            require_choice("method", value, choices)
        assert str(error.value) == f"method is {value!r}; {words} one of grouped, plain, null."


def test_right_kinds_and_fields_that_were_not_asked_for_pass():
    require_types(Example(share=1, sizes=[(1, 2), [3]], names={"a": "b"}, quick=True))
    require_types(Example(share="half"), "sizes", "quick")

"""A fingerprint changes with any of its parts, and with nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from mixvision.training import fingerprints
from mixvision.training.config import EpochTraining
from mixvision.training.fingerprints import ENGINES, fingerprint

DIFFERENT = [
    (),
    (1,),
    (1.0,),
    ("1",),
    (None,),
    ((),),
    ([1],),
    (1, 2),
    ((1, 2),),
    ({"a": 1},),
    ({"a": 2},),
    (("a", 1),),
    (0.1 + 0.2,),
    (0.3,),
    (torch.zeros(2),),
    (torch.zeros(2, dtype=torch.float64),),
    (torch.zeros(2, 1),),
    (torch.zeros(0),),
    (np.array(["a", "b"], dtype=object),),
    (np.array(["ab"], dtype=object),),
    (pd.DataFrame({"a": [0.3]}),),
    (pd.DataFrame({"a": [0.1 + 0.2]}),),
    (pd.DataFrame({"b": [0.3]}),),
    (EpochTraining(),),
    (EpochTraining(patience=4),),
]


def test_different_parts_have_different_fingerprints():
    names = {fingerprint("sweep", *parts) for parts in DIFFERENT}
    assert len(names) == len(DIFFERENT)
    assert names == {fingerprint("sweep", *parts) for parts in DIFFERENT}


def test_type_of_container_layout_and_order_of_keys_do_not_matter():
    values = torch.arange(6.0).view(2, 3)
    assert fingerprint("epochs", values) == fingerprint("epochs", values.numpy())
    assert fingerprint("epochs", values.T) == fingerprint("epochs", values.T.contiguous())
    assert fingerprint("epochs", np.int64(3)) == fingerprint("epochs", 3)
    assert fingerprint("epochs", {"a": 1, "b": 2}) == fingerprint("epochs", {"b": 2, "a": 1})


def test_another_version_of_the_engine_or_of_pytorch_has_another_fingerprint(monkeypatch):
    names = {fingerprint(engine, "same") for engine in ENGINES}
    monkeypatch.setattr(torch, "__version__", "1000.0")
    names.add(fingerprint("sweep", "same"))
    monkeypatch.setitem(fingerprints.ENGINES, "sweep", dataclasses.replace(ENGINES["sweep"], version=1000))
    names.add(fingerprint("sweep", "same"))
    assert len(names) == len(ENGINES) + 2


def test_parts_without_plain_values_are_refused():
    with pytest.raises(TypeError, match="Cannot take a fingerprint of a Generator"):
        fingerprint("sweep", {"seed": torch.Generator()})

"""The pipelines by name. Each runs from scratch, so every training pipeline includes ingestion."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from kedro.pipeline import Pipeline

# Kedro warns about names of another pipeline's datasets ("mixing.trials"), but they are intended.
warnings.filterwarnings("ignore", "One or more dataset names contain '.'")

CHAINS = {  # by name: the packages in mixvision.pipelines to join, in the order of the flow
    "ingestion": ["ingestion"],
    "mixing": ["ingestion", "mixing"],
    "leakage": ["ingestion", "mixing", "leakage"],
    "iterative": ["ingestion", "iterative"],
    "alternatives": ["ingestion", "alternatives"],
    "tuning": ["ingestion", "tuning"],
    "baselines": ["ingestion", "baselines"],
    "transfer": ["ingestion", "transfer"],
    "submission": ["submission"],
    "sanity_check": ["ingestion", "sanity_check"],
}


class LazyPipeline(Pipeline):
    """A pipeline that is built when it is first used.

    Kedro asks for the names of all pipelines whenever a command starts, but runs only a few of them. Each imports its
    libraries when it is built, so the others cost nothing.
    """

    def __init__(self, build: Callable[[], Pipeline]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:  # called only for attributes not set yet
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__.update(vars(self._build()))
        return object.__getattribute__(self, name)


def register_pipelines() -> dict[str, Pipeline]:
    pipelines: dict[str, Pipeline] = {name: LazyPipeline(partial(_chain, *chain)) for name, chain in CHAINS.items()}
    pipelines["conclusions"] = LazyPipeline(_conclusions)
    pipelines["tuned_mixing"] = LazyPipeline(lambda: _chain("ingestion", "tuning") + _create("mixing", tuned=True))
    for name in ("as_is", "streams"):  # these do not use ingestion's splits
        pipelines[name] = LazyPipeline(partial(_unsplit, name))
    return {**pipelines, "__default__": pipelines["mixing"]}


def _create(package: str, **options: bool) -> Pipeline:
    return import_module(f"mixvision.pipelines.{package}").create_pipeline(**options)


def _chain(*packages: str) -> Pipeline:
    return sum(map(_create, packages), start=Pipeline([]))


def _conclusions() -> Pipeline:
    studies = [_create(package, several_seeds=True) for package in ("mixing", "iterative")]
    return sum([*studies, _create("conclusions")], start=_create("ingestion"))


def _unsplit(package: str) -> Pipeline:
    return _create("ingestion").to_outputs("unsplit_manifest") + _create(package)

"""Refuse a dataset in an environment's catalog whose name is nearly that of one that a pipeline uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from mixvision.configuration import ConfigLoader


class CatalogNames:
    """Refuses misspelt datasets before anything is read: Kedro would use those of conf/base, without a word.

    A name that is like no other is taken for a dataset of the user's own.
    """

    def __init__(self) -> None:
        self.own: dict[str, str] = {}  # the file of each dataset that only the environment declares

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        loader = cast(ConfigLoader, context.config_loader)
        own = loader.texts(loader.env or loader.default_run_env, "catalog")
        base = loader.texts(loader.base_env, "catalog") if own else {}
        known = {name for entries in base.values() for name in entries}
        self.own = {name: file for file, entries in own.items() for name in entries if name not in known}

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        if not self.own:
            return
        from mixvision.pipeline_registry import register_pipelines

        pipelines = register_pipelines()
        names = run_params.get("pipeline_names") or ["__default__"]
        used = {dataset for name in names for dataset in pipelines[name].datasets()}
        suspected = dict(nearly_used(self.own, used))
        if suspected:  # building the other pipelines takes seconds
            used |= {dataset for pipeline in pipelines.values() for dataset in pipeline.datasets()}
        for name, meant in suspected.items():
            if name not in used:
                raise ValueError(
                    f"{self.own[name]} declares the dataset {name}, which no pipeline uses: did you mean {meant}? "
                    "Correct it, or give a dataset of your own a name that is less like it."
                )


def nearly_used(declared: Mapping[str, object], used: Collection[str]) -> Iterator[tuple[str, str]]:
    """The declared names that are nearly one of a used dataset, with that one; patterns and Kedro's "_..." are none."""
    datasets = [name for name in used if not name.startswith("params:")]
    for name in declared:
        if name in used or name.startswith("_") or "{" in name:
            continue
        if meant := get_close_matches(name, datasets, n=1, cutoff=0.8):
            yield name, meant[0]

"""Remembers with which parameters each step last ran, and says so where results of other parameters are kept."""

from __future__ import annotations

import json
import logging
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from mixvision.files import replacing_file
from mixvision.hooks import parameters_among, study_of

log = logging.getLogger(__name__)

FOLDER = "data/08_reporting/{study}/.parameters"  # a file for each step: several may run at once


class Provenance:
    """Warns at the end of a run of steps that were left out (``--only-missing-outputs``) but would run differently."""

    def __init__(self) -> None:
        self.folder = Path()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.folder = Path(context.project_path) / FOLDER.format(study=study_of(context))

    @hook_impl
    def after_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        if self.folder == Path():  # in a process that knows no project
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing_file(self.folder / f"{node.name}.json") as partial:
            partial.write_text(json.dumps(settings_of(inputs), indent=1))

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Compare every step: what has just run is the same by now."""
        for node in pipeline.nodes:
            now, then = settings_of(parameters_among(node.inputs, catalog)), self._read(node)
            for name in sorted(now.keys() & then.keys()):
                if now[name] != then[name]:
                    log.warning(
                        "These results are of other parameters: %s ran with %s = %s, which is now %s. Run without "
                        "--only-missing-outputs to compute them again.",
                        *(node.name, name, then[name], now[name]),
                    )
                    return

    def _read(self, node: Node) -> dict[str, str]:
        """The parameters with which a step last ran; none if that is not known."""
        try:
            return dict(json.loads((self.folder / f"{node.name}.json").read_text()))
        except (OSError, ValueError):
            return {}


def settings_of(inputs: dict[str, Any]) -> dict[str, str]:
    """A step's parameters as texts, those of a dataclass one by one."""
    found: dict[str, str] = {}
    for name, value in inputs.items():
        if name.startswith("params:"):
            place = name.removeprefix("params:")
            is_settings = is_dataclass(value) and not isinstance(value, type)
            parts = {f"{place}.{field}": part for field, part in vars(value).items()} if is_settings else {place: value}
            found |= {field: str(part) for field, part in parts.items()}
    return found

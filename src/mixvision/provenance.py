"""Remembers with what each dataset was made, and says so where results of other settings or images stand for new ones.

Beside the reports lies a record for each dataset that a step has written: the step, its settings, and the versions of
the datasets that it read. A dataset's version is a digest of its record, so it changes when anything before it does,
and not when the same is computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from mixvision.files import replacing_file
from mixvision.hooks import parameters_among, role, study_of
from mixvision.parameter_names import flat

if TYPE_CHECKING:
    from mixvision.datasets.reports import PageDataset

log = logging.getLogger(__name__)

FOLDER = "data/08_reporting/{study}/.provenance"
FOLDER_OF_RUN = "MIXVISION_PROVENANCE"  # tells processes that the ParallelRunner starts where the records are
OLDER_RESULTS = "older_results"  # what the end of the run says, for MLflow, among the parameters of the run
MOST_SHOWN = 5  # differences in one message
UNKNOWN = ""  # the version of a dataset that no step has written, or an earlier version of Mixvision


@dataclass(frozen=True)
class Record:
    """With what a dataset was made.

    Args:
        step: the name of the node.
        settings: its parameters and the settings of its image sources, as texts by their dotted names.
        inputs: the versions of the other datasets that it read, by name.
    """

    step: str
    settings: dict[str, str]
    inputs: dict[str, str]


class Records:
    """The records of a study, one file for each dataset: several steps may run at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, node: Node, catalog: CatalogProtocol) -> None:
        """Record what a step has just made."""
        settings = dict(settings_of([node], catalog))
        inputs = {name: self.version(name) for name in sorted(node.inputs) if not name.startswith("params:")}
        text = json.dumps(asdict(Record(node.name, settings, inputs)), indent=1)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in node.outputs:
            with replacing_file(self._file(name)) as partial:
                partial.write_text(text)

    def remove(self, node: Node) -> None:
        """Forget what a step made: it begins to write it anew, and may be cut off."""
        for name in node.outputs:
            self._file(name).unlink(missing_ok=True)

    def read(self, names: Iterable[str]) -> dict[str, Record]:
        """The records of these datasets; those without one are left out."""
        found = {}
        for name in names:
            try:
                found[name] = Record(**json.loads(self._file(name).read_bytes()))
            except (OSError, ValueError, TypeError):
                continue
        return found

    def behind(self, names: Iterable[str]) -> dict[str, Record]:
        """The records of these datasets and of all from which they were made."""
        found: dict[str, Record] = {}
        while new := self.read(set(names) - set(found)):
            found |= new
            names = {name for record in new.values() for name in record.inputs}
        return found

    def version(self, name: str) -> str:
        """Of a dataset, or UNKNOWN."""
        try:
            return hashlib.blake2b(self._file(name).read_bytes(), digest_size=8).hexdigest()
        except OSError:
            return UNKNOWN

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"


class Provenance:
    """Warns of steps that a run leaves out but would run differently, as ``--only-missing-outputs`` and ``--tags`` do.

    It says so before the run, at its end, in MLflow, and on a page whose settings are not those of its results.
    """

    def __init__(self) -> None:
        self.folder = Path()

    @property
    def records(self) -> Records | None:
        """None in a process that knows no project."""
        folder = self.folder if self.folder != Path() else Path(os.environ.get(FOLDER_OF_RUN, ""))
        return Records(folder) if folder != Path() else None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.folder = Path(context.project_path) / FOLDER.format(study=study_of(context))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        os.environ[FOLDER_OF_RUN] = str(self.folder)
        running = set(pipeline.nodes)
        if run_params.get("only_missing_outputs"):
            running = {node for node in running if not all(map(cast(DataCatalog, catalog).exists, node.outputs))}
        left_out = [node for node in _whole(run_params).nodes if node not in running]
        if found := self._differences(left_out, catalog):
            log.warning("This run leaves out steps that ran with other settings or data: %s.", found)

    @hook_impl
    def before_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        records = self.records
        if not records:
            return
        for dataset in map(catalog.get, node.outputs):
            if role(dataset) == "page":
                found = differences(records, records.behind(node.inputs), dict(settings_of([node], catalog)))
                remark = (
                    found and f"Not all of this was computed with the settings and data that are shown here: {found}."
                )
                cast("PageDataset", dataset).remark = remark
        records.remove(node)

    @hook_impl
    def after_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        if records := self.records:
            records.write(node, catalog)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol) -> None:
        """Compare every step: what has just run is the same by now."""
        os.environ.pop(FOLDER_OF_RUN, None)
        if found := self._differences(_whole(run_params).nodes, catalog):
            run_params[OLDER_RESULTS] = found
            log.warning(
                "These results are of other settings or data: %s. To compute them again, run the whole "
                "pipeline, without --only-missing-outputs, --tags and the like.",
                found,
            )

    def _differences(self, nodes: Iterable[Node], catalog: CatalogProtocol) -> str:
        nodes, records = list(nodes), self.records
        if not records:
            return ""
        made = records.read(name for node in nodes for name in node.outputs)
        return differences(records, made, dict(settings_of(nodes, catalog)), nodes)


def differences(records: Records, made: dict[str, Record], settings: dict[str, str], nodes: Iterable[Node] = ()) -> str:
    """What would be different if these datasets were made now, in words; "" if nothing would.

    Args:
        records: of the study.
        made: the records of the datasets.
        settings: those of today.
        nodes: the steps that would make them.
    """
    steps: dict[tuple[str, str], list[str]] = {}  # by what is said before and after them

    def note(before: str, record: Record, after: str) -> None:
        if record.step not in steps.setdefault((before, after), []):
            steps[before, after].append(record.step)

    now_read = {name: set(node.inputs) for node in nodes for name in node.outputs}
    for made_name, record in made.items():
        for name, then in record.settings.items():
            if settings.get(name, then) != then:
                note(f"{name} was {then} and is now {settings[name]} (", record, ")")
        for name, version in record.inputs.items():
            if version != UNKNOWN and records.version(name) not in (version, UNKNOWN):
                note(f"{name} was made anew after ", record, " had read it")
        for name in sorted(now_read.get(made_name, set()) - set(record.inputs)):
            if not name.startswith("params:"):
                note(f"{name} was not read by ", record, "")
    told = [f"{before}{_listed(where)}{after}" for (before, after), where in sorted(steps.items())]
    more = [f"and {len(told) - MOST_SHOWN} more"] if len(told) > MOST_SHOWN else []
    return "; ".join(told[:MOST_SHOWN] + more)


def settings_of(nodes: Iterable[Node], catalog: CatalogProtocol) -> Iterator[tuple[str, str]]:
    """The parameters of steps and the settings of the sources that they read, as texts by their dotted names."""
    names = {name for node in nodes for name in node.inputs}
    for name, value in parameters_among(sorted(names), catalog).items():
        yield from ((part, str(setting)) for part, setting in flat(value, name.removeprefix("params:")))
    for name in sorted(names):
        if read := getattr(catalog.get(name), "settings", None):  # of a source
            yield from read().items()


def _whole(run_params: dict[str, Any]) -> Pipeline:
    """The pipelines of a run with the steps that it leaves out."""
    return sum((pipelines[name] for name in run_params.get("pipeline_names") or ["__default__"]), start=Pipeline([]))


def _listed(steps: list[str]) -> str:
    return steps[0] if len(steps) == 1 else f"{steps[0]} and {len(steps) - 1} more"

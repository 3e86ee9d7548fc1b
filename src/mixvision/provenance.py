"""Remembers with what each dataset was made, and says so where results of other settings or images stand for new ones.

For each dataset that a step has written there is a record: the step, its settings, and the versions of the datasets
that it read. A dataset's version is a digest of its files, so it changes with their content, and not when the same is
computed again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from mixvision.files import digest_of, replacing_file
from mixvision.hooks import parameters_among, role, study_of

if TYPE_CHECKING:
    from mixvision.datasets.reports import PageDataset

log = logging.getLogger(__name__)

FOLDER = "data/.provenance/{study}"
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

    def write(self, name: str, record: Record) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing_file(self._file(name)) as partial:
            partial.write_text(json.dumps(asdict(record), indent=1))

    def remove(self, name: str) -> None:
        """Forget how a dataset was made: it is about to be written anew, which may be cut off."""
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

    def version(self, name: str, catalog: CatalogProtocol) -> str:
        """Of what a dataset holds, or UNKNOWN."""
        path = _path_of(name, catalog)
        if not self._file(name).exists() or not path or not path.exists():
            return UNKNOWN
        own = getattr(catalog.get(name), "content_digest", None)  # of a store, whose files have the times of images
        return own() if own else digest_of(path)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"


class Provenance:
    """Warns of steps that a run leaves out but would run differently, as ``--only-missing-outputs`` and ``--tags`` do.

    It says so before the run, at its end, in MLflow, and on a page whose settings are not those of its results.
    """

    def __init__(self) -> None:
        self.folder = Path()
        self.whole = Pipeline([])  # the pipelines of the run with the steps that it leaves out
        self.running: dict[str, Record] = {}  # by step

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
        names = run_params.get("pipeline_names") or ["__default__"]
        self.whole = sum((pipelines[name] for name in names), start=Pipeline([]))
        running = set(pipeline.nodes)
        if run_params.get("only_missing_outputs"):
            running = {node for node in running if not all(map(cast(DataCatalog, catalog).exists, node.outputs))}
        if found := self._differences([node for node in self.whole.nodes if node not in running], catalog):
            log.warning("This run leaves out steps that ran with other settings or data: %s.", found)

    @hook_impl
    def before_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        records = self.records
        if not records:
            return
        settings = dict(settings_of([node], catalog))
        read = [name for name in node.inputs if not name.startswith("params:")]
        versions = {name: records.version(name, catalog) for name in sorted(read)}
        self.running[node.name] = Record(node.name, settings, versions)
        for dataset in map(catalog.get, node.outputs):
            if role(dataset) == "page":
                found = self._differences_before(node, records, settings, catalog)
                remark = (
                    found and f"Not all of this was computed with the settings and data that are shown here: {found}."
                )
                cast("PageDataset", dataset).remark = remark

    def _differences_before(
        self, node: Node, records: Records, settings: dict[str, str], catalog: CatalogProtocol
    ) -> str:
        """What a step shows as its own settings and data, although the steps before it had others."""
        steps = [step for step in self.whole.to_nodes(node.name).nodes if step != node] if self.whole.nodes else []
        made = records.behind(node.inputs) | records.read(name for step in steps for name in step.outputs)
        return differences(records, made, settings, catalog, steps)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        if records := self.records:
            records.remove(dataset_name)

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        if records := self.records:
            records.write(dataset_name, self.running[node.name])

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol) -> None:
        """Compare every step: what has just run is the same by now."""
        os.environ.pop(FOLDER_OF_RUN, None)
        if found := self._differences(self.whole.nodes, catalog):
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
        return differences(records, made, dict(settings_of(nodes, catalog)), catalog, nodes)


def differences(
    records: Records,
    made: dict[str, Record],
    settings: dict[str, str],
    catalog: CatalogProtocol,
    nodes: Iterable[Node] = (),
) -> str:
    """What would be different if these datasets were made now, in words; "" if nothing would.

    Args:
        records: of the study.
        made: the records of the datasets; those that were deleted do not count.
        settings: those of today.
        catalog: where the datasets are.
        nodes: the steps that would make them.
    """
    paths = {name: _path_of(name, catalog) for name in made}
    made = {name: record for name, record in made.items() if not (path := paths[name]) or path.exists()}
    steps: dict[tuple[str, str], dict[str, None]] = {}  # by what is said before and after them
    for before, step, after in (*_of_made(records, made, settings, catalog), *_of_steps(made, catalog, nodes)):
        steps.setdefault((before, after), {})[step] = None
    told = [f"{before}{_listed(list(where))}{after}" for (before, after), where in sorted(steps.items())]
    more = [f"and {len(told) - MOST_SHOWN} more"] if len(told) > MOST_SHOWN else []
    return "; ".join(told[:MOST_SHOWN] + more)


def _of_made(
    records: Records, made: dict[str, Record], settings: dict[str, str], catalog: CatalogProtocol
) -> Iterator[tuple[str, str, str]]:
    """Settings and data that changed since: what is said before and after the step, and the step."""
    read = {name for record in made.values() for name in record.inputs}
    versions = {name: records.version(name, catalog) for name in read}
    for record in made.values():
        for name, then in record.settings.items():
            if settings.get(name, then) != then:
                yield f"{name} was {then} and is now {settings[name]} (", record.step, ")"
        for name, version in record.inputs.items():
            if version != UNKNOWN and versions[name] not in (version, UNKNOWN):
                yield f"{name} has changed since ", record.step, " read it"


def _of_steps(
    made: dict[str, Record], catalog: CatalogProtocol, nodes: Iterable[Node]
) -> Iterator[tuple[str, str, str]]:
    """Steps whose results are there without a record, or that would read something else."""
    for node in nodes:
        for name in node.outputs:
            if name in made:
                step, then, now = made[name].step, set(made[name].inputs), set(node.inputs)
                for other in sorted(other for other in now - then if not other.startswith("params:")):
                    yield "", step, f" did not read {other}, which it would read now"
                for other in sorted(then - now):
                    yield "", step, f" read {other}, which it would not read now"
            elif cast(DataCatalog, catalog).exists(name):
                yield "nobody knows with which settings and data ", node.name, " ran"


def settings_of(nodes: Iterable[Node], catalog: CatalogProtocol) -> Iterator[tuple[str, str]]:
    """The parameters of steps, those of a dataclass one by one, and the settings of the sources that they read."""
    names = {name for node in nodes for name in node.inputs}
    for name, value in parameters_among(sorted(names), catalog).items():
        place = name.removeprefix("params:")
        if is_dataclass(value) and not isinstance(value, type):
            yield from ((f"{place}.{field}", str(setting)) for field, setting in vars(value).items())
        else:
            yield place, str(value)
    for name in sorted(names):
        if read := getattr(catalog.get(name), "settings", None):  # of a source
            yield from read().items()


def _path_of(name: str, catalog: CatalogProtocol) -> Path | None:
    """Where a dataset is kept; None for one in memory."""
    resolved = cast(DataCatalog, catalog).config_resolver.resolve_pattern(name)
    path = Path(resolved.get("filepath") or resolved.get("path") or "")
    return path if path.name else None


def _listed(steps: list[str]) -> str:
    return steps[0] if len(steps) == 1 else f"{steps[0]} and {len(steps) - 1} more"

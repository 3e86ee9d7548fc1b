"""Hooks around a run: checks before it, and a summary at its end. ``mixvision.tracking`` has those for MLflow.

The catalog gives a dataset its role for all of them, ``metadata: {mixvision: {role: ...}}``:

- final_metrics: a table with metrics of trials; its schema says which columns are metrics. ``trial`` and ``prefix``
  are templates filled from each row, by default "{trial}" and "{snapshot}/{split}/": the trial's name and what stands
  before the names of its metrics.
- answer: a table that says which ratio, share or model was chosen on validation images, and how it tests.
- manifest: the images of the study, by which MLflow tells whether two runs used the same.
- models: trained networks, stored with the trials' runs.
- checkpoints: a folder that is removed when the run has finished.
- summary: a text that is printed at the end, and describes the run in MLflow; page: a file whose path is printed.

Every Kedro command imports this module, so what imports torch or pandas is imported where it is used.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractDataset, CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from mixvision.addresses import with_shown_addresses
from mixvision.configuration import ConfigLoader, log_as_configured
from mixvision.interruptions import after_cell
from mixvision.parameter_names import (
    declared,
    names_of_runtime_params,
    refuse_fixed_globals,
    refuse_misplaced,
    refuse_old_names,
    refuse_unknown_names,
    require_mappings,
    unread_names,
)
from mixvision.vocabulary import DOMAINS

if TYPE_CHECKING:
    from mixvision.datasets.images import ImageSourceDataset

log = logging.getLogger(__name__)

CONFIGURED = ("globals", "parameters", "catalog", "mlflow")  # files of an environment
STAGES = ("ingest", "train", "report")  # tags of nodes; one with two of them counts as the later one


class ParameterNames:
    """Refuses an unknown study, and parameters with an old or unknown name, before anything is read or trained.

    Parameters of the command that no node of the pipeline reads are named in a warning.
    """

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}  # by --params

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        loader = cast(OmegaConfigLoader, context.config_loader)
        self.require_environment(loader)
        base, patterns = Path(loader.conf_source) / "base", loader.config_patterns
        settings, runtime = loader["globals"], loader.runtime_params
        self.require_study(settings.get("study"))
        self.require_own_study(cast(ConfigLoader, loader))
        known_settings, declared_parameters = (declared(base, patterns[kind]) for kind in ("globals", "parameters"))
        refuse_misplaced(settings, known_settings, declared_parameters, "parameters.yml")
        refuse_unknown_names(settings, known_settings, "global setting")
        require_mappings(settings, known_settings)  # before parameters are read, which refer to them
        parameters = loader["parameters"]
        changeable = names_of_runtime_params(base, [*patterns["parameters"], *patterns["catalog"]])
        known = {**dict.fromkeys(changeable), **declared_parameters}
        refuse_old_names(parameters)
        refuse_fixed_globals(runtime, known_settings, known)
        refuse_misplaced(parameters, known, known_settings, "globals.yml")
        refuse_unknown_names(parameters, known)
        require_mappings(parameters, known, "parameter")
        self.given = {name: value for name, value in runtime.items() if name not in changeable}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        read = [name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")]
        for name in unread_names(self.given, read):
            log.warning("The parameter %s changes nothing: no step of this run reads it.", name)

    @staticmethod
    def require_environment(loader: OmegaConfigLoader) -> None:
        """Refuse an environment without files, or with a misspelt one; Kedro would run the bundled sample instead."""
        conf, name = Path(loader.conf_source), loader.env or loader.default_run_env
        files = {path.stem: path.name for path in (conf / str(name)).glob("*.y*ml")}
        for stem, file in files.items():
            kind, separator, rest = stem.partition("_")
            meant = [] if kind in CONFIGURED else get_close_matches(kind, CONFIGURED, n=1, cutoff=0.8)
            if meant and not stem.startswith(meant[0]):
                right = f"{meant[0]}{separator}{rest}.yml"
                raise ValueError(f"conf/{name}/{file} is read by nobody: rename it to {right}.")
        if not (conf / str(loader.base_env)).is_dir():
            raise ValueError(
                f"There is no configuration in {conf}: run the command in the project's folder, or name the folder or "
                "archive of the configuration by --conf-source."
            )
        found = (path for path in (conf / str(name)).rglob("*") if path.is_file() and path.stem.startswith(CONFIGURED))
        if name in (None, loader.base_env, loader.default_run_env) or any(found):
            return
        known = ", ".join(sorted(path.name for path in conf.iterdir() if (path / "globals.yml").exists()))
        raise ValueError(
            f"There is no study {name!r} in {conf} (there are {known}): correct --env, or make one for your own images "
            f"by make study NAME={name} NICE=<folder, archive or URL> REAL=<the same>."
        )

    @staticmethod
    def require_study(name: object) -> None:
        """Refuse a study whose name cannot be that of its folders in data/."""
        if name is None or not re.fullmatch(r"\w[^/\\]*", str(name)):
            raise ValueError(
                f"The global setting study is {name!r}, but it names folders in data/: begin with a letter or digit, "
                "and use no slash."
            )

    @staticmethod
    def require_own_study(loader: ConfigLoader) -> None:
        """Refuse an environment whose results would replace those of another one, which has other images."""
        name = str(loader.env or loader.default_run_env)
        own = _globals_of(loader, name)
        if name in (loader.base_env, loader.default_run_env) or not any(own.get(domain) for domain in DOMAINS):
            return
        if "study" not in own:
            raise ValueError(
                f"conf/{name}/globals.yml names images but no study, so its results would replace those of the sample: "
                f"add the line study: {name}"
            )
        for other in sorted(file.parent.name for file in Path(loader.conf_source).glob("*/globals.yml")):
            theirs = _globals_of(loader, other) if other not in (name, loader.default_run_env) else {}
            if theirs.get("study") == own["study"] and any(theirs.get(of) != own.get(of) for of in DOMAINS):
                raise ValueError(
                    f"conf/{name}/globals.yml and conf/{other}/globals.yml both name the study {own['study']!r}, for "
                    "different images, so the results of one would replace the other's: give one of them another name."
                )


def _globals_of(loader: ConfigLoader, env: str) -> dict[str, Any]:
    """The global settings that an environment makes itself; none if its files cannot be read."""
    try:
        return loader.settings(env, "globals")
    except ValueError:
        return {}


class ProjectFolder:
    """Runs in the project's folder, wherever the command or the notebook is: settings name sources relative to it."""

    former: Path | None = None
    entered: Path | None = None

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        log_as_configured(Path(cast(OmegaConfigLoader, context.config_loader).conf_source))

    @hook_impl(wrapper=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> Iterator[None]:
        if not self.former or self.entered != Path.cwd():  # else Ctrl-C left an earlier run there
            self.former = Path.cwd()
        self.entered = Path(run_params["project_path"])
        os.chdir(self.entered)
        after_cell(self._leave)
        try:
            return (yield)
        except BaseException:  # a run that is refused here ends without another hook
            self._leave()
            raise

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        self._leave()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self.former:
            os.chdir(self.former)
            self.former = None


class SourceCheck:
    """Checks every image source, table and the published numbers that a run reads before it does anything.

    So are parameters that ask for something of the machine, such as a GPU or a file of weights: those whose class has
    a method ``require_available``. Nodes with the tag "check", which only look at parameters, run then, too. And
    passwords in the command's addresses are hidden before MLflow records it.
    """

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        from mixvision.datasets.images import ImageSourceDataset
        from mixvision.datasets.published import PublishedDataset
        from mixvision.datasets.tables import TableDataset
        from mixvision.pipelines.wiring import BOTH_DOMAINS

        for name in ("runtime_params", "extra_params"):
            if run_params.get(name):
                run_params[name] = with_shown_addresses(run_params[name])
        names = sorted(pipeline.inputs())
        inputs = [catalog.get(name) for name in names]
        sources = [dataset for dataset in inputs if isinstance(dataset, ImageSourceDataset)]
        self._require_sources(sources, both=bool(pipeline.only_nodes_with_tags(BOTH_DOMAINS).nodes))
        for dataset in inputs:
            if isinstance(dataset, ImageSourceDataset | PublishedDataset | TableDataset):
                dataset.check()
        for value in parameters_among(names, catalog).values():
            if hasattr(value, "require_available"):
                value.require_available()
        for node in pipeline.only_nodes_with_tags("check").nodes:
            node.run({name: catalog.load(name) for name in node.inputs})

    @staticmethod
    def _require_sources(sources: list[ImageSourceDataset], both: bool) -> None:
        """Refuse a study without images, one without those of both domains where both are needed, and equal sources."""
        from mixvision.images.categories import NEEDS_BOTH, NO_IMAGES, SAME_SOURCE

        for source in sources:
            source.require_paths()
        absent = [source.domain for source in sources if source.is_absent]
        if sources and len(absent) == len(sources):
            raise ValueError(NO_IMAGES)
        if absent and both:
            raise ValueError(NEEDS_BOTH.format(domain=absent[0]))
        if len({source.files for source in sources}) < len(sources) and not sources[0].may_serve_both:
            raise ValueError(SAME_SOURCE.format(source=sources[0].shown_source))


class RunSummary:
    """Prints the results at the end of a run and removes checkpoints that are no longer needed."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.begun: dict[str, float] = {}  # by node
        self.seconds: dict[str, float] = {}  # by stage

    @hook_impl
    def before_pipeline_run(self) -> None:
        self.started, self.begun, self.seconds = time.monotonic(), {}, {}

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self.begun[node.name] = time.monotonic()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        took = time.monotonic() - self.begun[node.name]
        for stage in [stage for stage in STAGES if stage in node.tags][-1:]:
            self.seconds[stage] = self.seconds.get(stage, 0) + took

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        for name in sorted(pipeline.inputs()):
            if role(catalog.get(name)) == "checkpoints":
                shutil.rmtree(catalog.load(name))
        outputs = {name: role(catalog.get(name)) for name in sorted(pipeline.all_outputs())}
        for name in (name for name, its_role in outputs.items() if its_role == "summary"):
            print(f"\n{catalog.load(name)}")
        for name in (name for name, its_role in outputs.items() if its_role == "page"):
            print(f"\nThe page of {name.partition('.')[0]}, with every table and picture: {file_of(name, catalog)}")
        if "models" in outputs.values() and Path("Makefile").exists():  # not in a packaged project
            print("Look at the pipeline in kedro-viz: make viz.")
        if self.seconds:
            from mixvision.reporting.formatting import training_time

            known = [stage for stage in STAGES if stage in self.seconds]
            parts = ", ".join(f"{stage} {training_time(self.seconds[stage])}" for stage in known)
            whole = training_time(time.monotonic() - self.started)
            print(f"Time: {parts}; {whole} from the first step to the last, with loading and saving.")


def parameters_among(names: Iterable[str], catalog: CatalogProtocol) -> dict[str, Any]:
    """The parameters among these datasets, such as a node's inputs, by their names in the catalog."""
    known = cast(DataCatalog, catalog)
    return {name: known[name].load() for name in names if name.startswith("params:")}  # load of the catalog logs


def study_of(context: KedroContext) -> str:
    """The name of the study that a context was created for."""
    return str(cast(OmegaConfigLoader, context.config_loader)["globals"]["study"])


def role(dataset: AbstractDataset | None) -> str | None:
    """A dataset's role for the hooks, as set in the catalog; None for most."""
    return said_of(dataset, "mixvision").get("role")


def said_of(dataset: AbstractDataset | None, reader: str) -> dict[str, Any]:
    """The part of a dataset's catalog metadata for one reader, kedro-viz or mixvision."""
    return (getattr(dataset, "metadata", None) or {}).get(reader) or {}


def is_report(name: str, catalog: DataCatalog) -> bool:
    """Whether the catalog keeps a dataset among the reports."""
    return "08_reporting" in Path(catalog.config_resolver.resolve_pattern(name).get("filepath", "")).parts


def file_of(name: str, catalog: DataCatalog) -> Path:
    """The file that the catalog names for a dataset."""
    return Path(catalog.config_resolver.resolve_pattern(name)["filepath"])

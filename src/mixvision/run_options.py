"""The names that ``kedro run`` is given, compared with those that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mixvision.suggestions import suggestion

RUNNERS = ("SequentialRunner", "ThreadRunner", "ParallelRunner")


def require_pipelines(options: Mapping[str, Any]) -> None:
    """Raise ValueError for a pipeline or a runner that does not exist."""
    from mixvision.pipeline_registry import register_pipelines

    known = register_pipelines()
    names = {name: name for name in known if name != "__default__"}
    for name in _pipelines(options):
        if name not in known:
            raise ValueError(f"There is no pipeline {name!r}: {suggestion(name, names)}")
    runner = options["runner"] or RUNNERS[0]
    if "." not in runner and runner not in RUNNERS:
        raise ValueError(f"There is no runner {runner!r}: {suggestion(runner, RUNNERS)}")


def unknown_name(options: Mapping[str, Any]) -> str:
    """A sentence on the first node, dataset, tag or namespace that the pipeline does not have; empty if it has all.

    It builds the pipeline, so it is for a run that has failed.
    """
    from mixvision.pipeline_registry import register_pipelines

    pipelines = register_pipelines()
    names = _pipelines(options) or ["__default__"]
    pipeline = sum((pipelines[name] for name in names[1:]), start=pipelines[names[0]])
    namespaces = {prefix for node in pipeline.nodes if node.namespace for prefix in _prefixes(node.namespace)}
    for option, kind, known in (
        ("node_names", "node", {node.name for node in pipeline.nodes}),
        ("from_nodes", "node", {node.name for node in pipeline.nodes}),
        ("to_nodes", "node", {node.name for node in pipeline.nodes}),
        ("from_inputs", "dataset", pipeline.datasets()),
        ("to_outputs", "dataset", pipeline.datasets()),
        ("tags", "tag", {tag for node in pipeline.nodes for tag in node.tags}),
        ("namespaces", "namespace", namespaces),
    ):
        for name in _listed(options[option]):
            if name not in known:
                where = "the default pipeline" if names == ["__default__"] else ", ".join(names)
                return f"There is no {kind} {name!r} in {where}: {suggestion(name, sorted(known))}"
    return ""


def _pipelines(options: Mapping[str, Any]) -> list[str]:
    return [*_listed(options["pipelines"]), *_listed(options["pipeline"])]


def _listed(given: str | Collection[str] | None) -> list[str]:
    return [given] if isinstance(given, str) and given else list(given or ())


def _prefixes(namespace: str) -> Iterator[str]:
    parts = namespace.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(len(parts)))

"""Group nodes, and wire those with many inputs or outputs by name, so that none is mistaken for another."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

# The fields of mixvision.reporting.results.StudyResults, which every page of a study with images takes.
STUDY_RESULTS = ("manifest", "trials", "outcomes", "split_audit", "split_summary")

# The tag of a node that trains on images of both domains: without both sources, a run is refused at its start.
BOTH_DOMAINS = "both_domains"

# How claims are judged: their seeds are those of all models that the conclusions are about.
CLAIMS = "params:conclusions.claims"


def by_name(*datasets: str, **others: str) -> dict[str, str]:
    """A node's inputs by the names of its parameters, or its outputs by the keys of the dictionary that it returns.

    Args:
        datasets: those with the same name as their parameter ("manifest", or "params:report" for ``report``).
        others: parameter=dataset, where the two names differ.
    """
    return {name.removeprefix("params:"): name for name in datasets} | others


def stage(name: str, nodes: Iterable[Node]) -> Pipeline:
    """Nodes that kedro-viz shows as one box, with the tag of that name; names of datasets stay as they are."""
    return Pipeline(nodes, namespace=name, tags=name, prefix_datasets_with_namespace=False)


# What the training of mixtures takes and gives, whatever else a pipeline adds or renames.
TRAINING = by_name(
    "trials",
    "training_sets",
    "manifest",
    "nice_images",
    "real_images",
    "params:training",
    "checkpoints",
    events="training_events",
)
TRAINED = ["models", "history", "predictions", "outcomes"]

"""The sanity check as a pipeline: a table first, so that it is there when a model fails."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.sanity_check import nodes


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to a table of who could learn a few images by heart, or a failure."""
    memorise = Node(
        nodes.memorise_images,
        ["manifest", "nice_images", "real_images", "params:models", "params:memorising"],
        ["table", "summary"],
        name="memorise_images",
    )
    require = Node(nodes.require_memorised, "table", None, name="require_memorised")
    return Pipeline([memorise, require], namespace="sanity_check", inputs=["manifest", "nice_images", "real_images"])

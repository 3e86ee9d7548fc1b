"""The sanity check as a pipeline: it saves the table first, so that it exists even if a model fails."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.sanity_check import nodes


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to a table of which models can overfit a few images; fails if one cannot."""
    overfit = Node(
        nodes.overfit_images,
        ["manifest", "nice_images", "real_images", "params:models", "params:overfitting", "params:arithmetic"],
        ["table", "summary"],
        name="overfit_images",
        tags="train",
    )
    require = Node(nodes.require_overfit, "table", None, name="require_overfitting", tags="report")
    return Pipeline([overfit, require], namespace="sanity_check", inputs={"manifest", "nice_images", "real_images"})

"""The as_is pipeline: how pretrained networks classify the images, without training."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.as_is import nodes

PARAMETERS = {"params:study": "params:transfer.study", "params:training": "params:transfer.training"}


def create_pipeline() -> Pipeline:
    """From the images to a table; the networks are those in the parameters of the transfer pipeline."""
    images = ["unsplit_manifest", "nice_images", "real_images"]
    return Pipeline(
        [
            Node(
                nodes.classify,
                [*images, "params:study", "params:training", "features"],
                "predictions",
                name="classify_images",
                tags="train",
            ),
            Node(
                nodes.measure,
                ["predictions", "unsplit_manifest"],
                ["table", "summary"],
                name="measure_networks",
                tags="report",
            ),
        ],
        namespace="as_is",
        inputs=set(images),
        parameters=PARAMETERS,
    )

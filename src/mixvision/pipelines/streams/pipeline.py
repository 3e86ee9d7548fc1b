"""The streams pipeline: run it again whenever the two folders have grown, and the network learns on."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.streams import nodes


def create_pipeline() -> Pipeline:
    """From the manifest without splits to a network that is kept; names are prefixed with "streams."."""
    return Pipeline(
        [
            Node(
                nodes.learn,
                [
                    "state_before",
                    "unsplit_manifest",
                    "nice_images",
                    "real_images",
                    "params:learning",
                    "params:training",
                    "checkpoints",
                    "training_events",
                ],
                ["state", "arrivals", "news_text"],  # saved in this order: what is learnt first
                name="learn",
            ),
            Node(
                nodes.report,
                ["arrivals", "news_text", "params:title"],
                ["prequential_figure", "summary", "page"],
                name="report",
            ),
        ],
        namespace="streams",
        inputs={"unsplit_manifest", "nice_images", "real_images", "training_events"},
    )

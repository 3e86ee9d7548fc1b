"""The streams pipeline: run it whenever the two folders have grown, and the network learns from the new images."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.streams import nodes
from mixvision.pipelines.wiring import BOTH_DOMAINS


def create_pipeline() -> Pipeline:
    """From the manifest without splits to a network for the next run; names are prefixed with "streams."."""
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
                ["state", "arrivals"],  # saved in this order: the state first
                name="learn_from_new_images",
                tags=["train", BOTH_DOMAINS],
            ),
            Node(
                nodes.draw_mistakes,
                ["state", "unsplit_manifest", "nice_images", "real_images"],
                ["mistakes", "mistakes_sheet"],
                name="draw_mistakes",
                tags="report",
            ),
            Node(
                nodes.report,
                ["arrivals", "mistakes_sheet", "params:learning", "params:training", "params:title"],
                ["prequential_figure", "summary", "page"],
                name="write_page",
                tags="report",
            ),
        ],
        namespace="streams",
        inputs={"unsplit_manifest", "nice_images", "real_images", "training_events"},
    )

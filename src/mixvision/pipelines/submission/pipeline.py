"""The submission pipeline: the best model of the transfer pipeline classifies a folder of unlabelled images."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.submission import nodes


def create_pipeline() -> Pipeline:
    """From a folder and the trained networks to a table of files and categories."""
    return Pipeline(
        [
            Node(
                nodes.classify_folder,
                ["params:unlabelled", "transfer.table", "transfer.models", "params:ingestion.decoding"],
                "submission.answers",
                name="classify_folder",
                tags="report",
            )
        ]
    )

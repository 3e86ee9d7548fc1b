"""The ingestion pipeline: image sources to pixels, manifest and splits."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.ingestion.nodes import (
    assign_splits,
    audit_splits,
    build_manifest,
    decode,
    select_images,
    write_page,
)
from mixvision.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """Sources -> decoded images -> manifest with splits, and their audit."""
    return Pipeline(
        [
            Node(decode, ["nice_source", "params:ingestion.decoding"], "nice_images", name="decode_nice_images"),
            Node(decode, ["real_source", "params:ingestion.decoding"], "real_images", name="decode_real_images"),
            Node(
                select_images,
                ["nice_images", "real_images", "params:ingestion.categories", "params:ingestion.outliers"],
                ["selected_images", "excluded_files", "excluded_counts"],
                name="select_images",
            ),
            Node(
                build_manifest,
                [
                    "selected_images",
                    "nice_images",
                    "real_images",
                    "params:ingestion.categories",
                    "params:ingestion.duplicates",
                    "found_pairs",
                ],
                ["unsplit_manifest", "near_duplicates"],
                name="build_manifest",
            ),
            Node(
                assign_splits,
                ["unsplit_manifest", "params:ingestion.splits"],
                "manifest",
                name="assign_splits",
            ),
            Node(
                audit_splits,
                [
                    "manifest",
                    "near_duplicates",
                    "excluded_counts",
                    "params:ingestion.splits",
                    "params:ingestion.duplicates",
                    "params:ingestion.decoding",
                ],
                ["split_audit", "split_summary", "split_leaks"],
                name="audit_splits",
            ),
            Node(
                write_page,
                by_name(
                    "manifest",
                    "excluded_counts",
                    "split_audit",
                    "split_summary",
                    "split_leaks",
                    title="params:ingestion.title",
                    nice="nice_images",
                    real="real_images",
                ),
                "ingestion.page",
                name="write_page",
                tags="report",  # as well as ingest: to be looked at before training, and written again with all reports
            ),
        ],
        namespace="ingestion",
        tags="ingest",
        prefix_datasets_with_namespace=False,
    )

"""The baselines pipeline: plain networks, their settings varied, and the report that compares them."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.baselines import nodes
from mixvision.studies.baselines.settings import SETTINGS

FIGURES = ["models_figure", "learning_curves_figure", *(f"{setting}_figure" for setting in SETTINGS)]


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to one page; names are prefixed with "baselines."."""
    inputs = ["manifest", "nice_images", "real_images", "split_audit", "split_summary", "published"]
    return Pipeline([*_training(), *_report()], namespace="baselines", inputs=inputs)


def _training() -> list[Node]:
    return [
        Node(nodes.plan_trials, "params:study", "trials", name="plan_trials"),
        Node(
            nodes.train,
            [
                "trials",
                "manifest",
                "nice_images",
                "real_images",
                "params:augmentation",
                "params:training",
                "checkpoints",
            ],
            ["models", "history", "predictions", "outcomes"],
            name="train",
        ),
    ]


def _report() -> list[Node]:
    return [
        Node(nodes.describe_networks, ["trials", "models"], "layers", name="describe_networks"),
        Node(
            nodes.measure,
            [
                "predictions",
                "manifest",
                "trials",
                "history",
                "outcomes",
                "published",
                "params:study",
                "params:report",
            ],
            ["metrics", "table", "leak", "summary"],
            name="measure",
        ),
        Node(
            nodes.draw_figures,
            ["table", "trials", "history", "outcomes", "params:study"],
            FIGURES,
            name="draw_figures",
        ),
        Node(
            nodes.examine_best,
            ["table", "predictions", "manifest", "params:report"],
            ["best_confusion", "mistakes", "confusion_figure"],
            name="examine_best",
        ),
        Node(
            nodes.draw_sheets,
            ["manifest", "mistakes", "nice_images", "real_images", "params:report"],
            ["samples_sheet", "mistakes_sheet", "excluded_sheet"],
            name="draw_sheets",
        ),
        Node(
            nodes.write_page,
            [
                "manifest",
                "trials",
                "table",
                "leak",
                "outcomes",
                "predictions",
                "layers",
                *FIGURES,
                "confusion_figure",
                "samples_sheet",
                "mistakes_sheet",
                "excluded_sheet",
                "split_audit",
                "split_summary",
                "published",
                "real_images",
                "params:study",
                "params:augmentation",
                "params:training",
                "params:report",
            ],
            "page",
            name="write_page",
        ),
    ]

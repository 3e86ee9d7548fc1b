"""The baselines pipeline: plain networks, their settings varied, and the report that compares them."""

from kedro.pipeline import Node, Pipeline

from mixvision.evaluation.metrics import join_predictions
from mixvision.pipelines.baselines import nodes
from mixvision.pipelines.wiring import STUDY_RESULTS, by_name, stage
from mixvision.studies.baselines.settings import SETTINGS

FIGURES = ["models_figure", "learning_curves_figure", *(f"{setting}_figure" for setting in SETTINGS)]


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to one page; names are prefixed with "baselines."."""
    inputs = {"manifest", "nice_images", "real_images", "split_audit", "split_summary", "published", "training_events"}
    stages = [stage("train", _training()), stage("report", [*_report(), _page()])]
    return Pipeline(stages, namespace="baselines", inputs=inputs)


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
                "training_events",
            ],
            ["models", "history", "predictions", "outcomes"],
            name="train_models",
        ),
    ]


def _report() -> list[Node]:
    return [
        Node(join_predictions, ["predictions", "manifest"], "joined_predictions", name="join_predictions"),
        Node(nodes.describe_networks, ["trials", "models"], "layers", name="describe_networks"),
        Node(
            nodes.measure,
            [
                "joined_predictions",
                "trials",
                "history",
                "outcomes",
                "published",
                "params:study",
                "params:report",
            ],
            ["metrics", "table", "leak", "summary"],
            name="measure_models",
        ),
        Node(
            nodes.draw_figures,
            ["table", "trials", "history", "outcomes", "params:study"],
            by_name(*FIGURES),
            name="draw_figures",
        ),
        Node(
            nodes.examine_best,
            ["table", "joined_predictions", "params:report"],
            ["best_confusion", "mistakes", "confusion_figure"],
            name="examine_best_model",
        ),
        Node(
            nodes.draw_sheets,
            ["manifest", "mistakes", "joined_predictions", "nice_images", "real_images", "params:report"],
            ["samples_sheet", "mistakes_sheet", "hardest_sheet", "excluded_sheet"],
            name="draw_contact_sheets",
        ),
    ]


def _page() -> Node:
    return Node(
        nodes.write_page,
        by_name(
            "published",
            "real_images",
            "params:study",
            "params:training",
            "params:report",
            *STUDY_RESULTS,
            "table",
            "leak",
            "layers",
            **{setting: f"{setting}_figure" for setting in SETTINGS},
            views="params:augmentation",
            joined="joined_predictions",
            models="models_figure",
            learning_curves="learning_curves_figure",
            confusion="confusion_figure",
            samples="samples_sheet",
            mistakes="mistakes_sheet",
            hardest="hardest_sheet",
            excluded="excluded_sheet",
        ),
        "page",
        name="write_page",
    )

"""The transfer pipeline: pretrained networks as they are, with new heads, fine-tuned and joined; and the report."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.transfer import nodes
from mixvision.pipelines.wiring import STUDY_RESULTS, by_name, stage

IMAGES = ["manifest", "nice_images", "real_images"]
FIGURES = ["models_figure", "learning_curves_figure", "loss_figure", "input_sizes_figure", "ratios_figure"]
CLOSE_UPS = ["confusion_figure", "reliability_figure"]
SHEETS = ["samples_sheet", "mistakes_sheet", "hardest_sheet", "activations_sheet"]


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to one page; names are prefixed with "transfer."."""
    return Pipeline(
        [stage("train", _training()), stage("report", [*_measures(), *_report(), _page()])],
        namespace="transfer",
        inputs={*IMAGES, "split_audit", "split_summary", "published", "training_events"},
    )


def _training() -> list[Node]:
    how = ["params:study", "params:augmentation", "params:training", "features", "checkpoints"]
    return [
        Node(nodes.describe_backbones, ["params:study", "params:training"], "backbones", name="describe_backbones"),
        Node(
            nodes.plan_trials,
            ["backbones", "manifest", "params:study", "params:training"],
            "trials",
            name="plan_trials",
        ),
        Node(
            nodes.train,
            by_name("trials", "backbones", *IMAGES, *how, events="training_events"),
            ["models", "history", "outcomes", "probabilities"],
            name="train_models",
        ),
        Node(
            nodes.predict,
            ["probabilities", "manifest", "trials", "params:study", "training_events"],
            ["predictions", "members"],
            name="predict_categories",
        ),
        Node(
            nodes.train_by_ratio,
            [*IMAGES, "params:study", "params:training", "features", "training_events"],
            ["ratio_predictions", "ratio_outcomes"],
            name="train_heads_by_ratio",
        ),
    ]


def _measures() -> list[Node]:
    return [
        Node(nodes.join, ["predictions", "manifest", "params:report"], "joined_predictions", name="join_predictions"),
        Node(
            nodes.measure,
            ["joined_predictions", "trials", "members", "history", "outcomes", "backbones"],
            ["metrics", "table"],
            name="measure_models",
        ),
        Node(
            nodes.measure_ratios,
            ["ratio_predictions", "manifest", "params:study"],
            "ratios",
            name="measure_ratios",
        ),
        Node(
            nodes.summarise,
            ["table", "ratios", "outcomes", "ratio_outcomes", "published", "params:report"],
            "summary",
            name="summarise_results",
        ),
    ]


def _report() -> list[Node]:
    return [
        Node(
            nodes.draw_figures,
            ["table", "history", "outcomes", "trials", "ratios", "published"],
            by_name(*FIGURES),
            name="draw_figures",
        ),
        Node(
            nodes.examine_best,
            ["table", "joined_predictions", "params:report"],
            by_name("best_confusion", "mistakes", *CLOSE_UPS),
            name="examine_best_models",
        ),
        Node(
            nodes.map_images,
            [*IMAGES, "params:study", "params:training", "features", "params:report"],
            ["feature_map", "feature_map_figure"],
            name="map_images",
        ),
        Node(
            nodes.draw_sheets,
            [*IMAGES, "mistakes", "table", "joined_predictions", "models", "params:report"],
            SHEETS,
            name="draw_contact_sheets",
        ),
    ]


def _page() -> Node:
    return Node(
        nodes.write_page,
        by_name(
            "published",
            "params:training",
            "params:report",
            *STUDY_RESULTS,
            "table",
            "ratios",
            "ratio_outcomes",
            "backbones",
            views="params:augmentation",
            joined="joined_predictions",
            models="models_figure",
            learning_curves="learning_curves_figure",
            loss="loss_figure",
            input_sizes="input_sizes_figure",
            ratios_drawn="ratios_figure",
            confusion="confusion_figure",
            reliability="reliability_figure",
            embedding="feature_map_figure",
            samples="samples_sheet",
            mistakes="mistakes_sheet",
            hardest="hardest_sheet",
            activations="activations_sheet",
        ),
        "page",
        name="write_page",
    )

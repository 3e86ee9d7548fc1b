"""The mixing pipeline: eleven models, from nice images only to real images only, and the report that compares them."""

from kedro.pipeline import Node, Pipeline

from mixvision.evaluation.metrics import join_predictions
from mixvision.pipelines.mixed_training import choose_images, train
from mixvision.pipelines.mixing import nodes
from mixvision.pipelines.wiring import BOTH_DOMAINS, CLAIMS, STUDY_RESULTS, TRAINED, TRAINING, by_name, stage


def create_pipeline(tuned: bool = False, several_seeds: bool = False) -> Pipeline:
    """From the manifest and the pixels to one page; names are prefixed with "mixing.".

    With ``tuned`` the learning rate and the L2 factor are those that the tuning pipeline chose; with ``several_seeds``
    the seeds are those of the conclusions.
    """
    plan = Node(nodes.plan_trials, "params:mixtures", "trials", name="plan_trials")
    inputs = {"manifest", "nice_images", "real_images", "split_audit", "split_summary", "published", "training_events"}
    if tuned:
        plan = Node(nodes.plan_tuned_trials, ["params:mixtures", "tuning.chosen"], "trials", name="plan_trials")
        inputs.add("tuning.chosen")
    if several_seeds:
        plan = Node(nodes.plan_several_seeds, ["params:mixtures", CLAIMS], "trials", name="plan_trials")
    stages = [stage("train", [plan, *_training()]), stage("report", [*_report(), _page()])]
    return Pipeline(stages, namespace="mixing", inputs=inputs, parameters={CLAIMS} if several_seeds else set())


def _training() -> list[Node]:
    return [
        Node(
            choose_images,
            ["manifest", "trials", "params:mixtures"],
            "training_sets",
            name="choose_images",
            tags=BOTH_DOMAINS,
        ),
        Node(train, TRAINING, TRAINED, name="train_models"),
    ]


def _report() -> list[Node]:
    return [
        Node(join_predictions, ["predictions", "manifest"], "joined_predictions", name="join_predictions"),
        Node(
            nodes.measure,
            ["joined_predictions", "history", "trials", "outcomes", "published", "params:report"],
            ["metrics", "metric_table", "metric_table_without_leaks", "metric_table_text", "summary"],
            name="measure_models",
        ),
        Node(
            nodes.draw_curves,
            ["metrics", "metric_table", "history", "trials", "published"],
            by_name("accuracy_figure", "performance_figure", "learning_curves_figure"),
            name="draw_curves",
        ),
        Node(
            nodes.examine_best,
            ["metric_table", "joined_predictions", "trials", "params:report"],
            by_name(
                "category_accuracies",
                "nice_confusion",
                "real_confusion",
                "mistakes",
                "category_accuracies_figure",
                "confusion_figure",
            ),
            name="examine_best_model",
        ),
        Node(
            nodes.draw_sheets,
            ["manifest", "mistakes", "joined_predictions", "nice_images", "real_images", "params:report"],
            ["samples_sheet", "mistakes_sheet", "hardest_sheet"],
            name="draw_contact_sheets",
        ),
    ]


def _page() -> Node:
    return Node(
        nodes.write_page,
        by_name(
            "published",
            "params:mixtures",
            "params:training",
            "params:report",
            *STUDY_RESULTS,
            table="metric_table",
            table_without_leaks="metric_table_without_leaks",
            accuracy="accuracy_figure",
            performance="performance_figure",
            learning_curves="learning_curves_figure",
            category_accuracies="category_accuracies_figure",
            confusion="confusion_figure",
            samples="samples_sheet",
            mistakes="mistakes_sheet",
            hardest="hardest_sheet",
        ),
        "page",
        name="write_page",
    )

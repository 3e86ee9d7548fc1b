"""The iterative pipeline: nine models trained on one domain and then on the other, and what they forget."""

from kedro.pipeline import Node, Pipeline

from mixvision.evaluation.metrics import join_predictions
from mixvision.pipelines.iterative import nodes, report
from mixvision.pipelines.mistakes import MISTAKES
from mixvision.pipelines.wiring import BOTH_DOMAINS, CLAIMS, STUDY_RESULTS, TRAINED, TRAINING, by_name, stage


def create_pipeline(several_seeds: bool = False) -> Pipeline:
    """From the manifest and the pixels to one page; names are prefixed with "iterative.".

    With ``several_seeds`` the seeds are those of the conclusions.
    """
    plan = Node(nodes.plan_trials, ["params:phases", "params:training"], "trials", name="plan_trials")
    if several_seeds:
        plan = Node(
            nodes.plan_several_seeds, ["params:phases", "params:training", CLAIMS], "trials", name="plan_trials"
        )
    return Pipeline(
        [stage("train", [plan, *_training()]), stage("report", [*_measures(), _figures(), _mistakes(), _page()])],
        namespace="iterative",
        inputs={
            "manifest",
            "nice_images",
            "real_images",
            "split_audit",
            "split_summary",
            "published",
            "training_events",
        },
        parameters={CLAIMS} if several_seeds else set(),
    )


def _training() -> list[Node]:
    return [
        Node(
            nodes.choose_images,
            ["manifest", "trials", "params:phases"],
            "training_sets",
            name="choose_images",
            tags=BOTH_DOMAINS,
        ),
        Node(nodes.train, TRAINING | by_name("params:phases"), TRAINED, name="train_models"),
        Node(
            nodes.interpolate_networks,
            ["models", "manifest", "nice_images", "real_images", "params:training"],
            "interpolations",
            name="interpolate_networks",
        ),
    ]


def _measures() -> list[Node]:
    return [
        Node(join_predictions, ["predictions", "manifest"], "joined_predictions", name="join_predictions"),
        Node(
            report.measure,
            [
                "joined_predictions",
                "interpolations",
                "history",
                "manifest",
                "trials",
                "outcomes",
                "published",
                "params:phases",
                "params:report",
            ],
            by_name(
                "metrics",
                "metric_table",
                "metric_table_without_leaks",
                "accuracy_matrix",
                "continual_measures",
                "forgetting_speed",
                "interpolation_table",
                "summary",
            ),
            name="measure_models",
        ),
    ]


def _figures() -> Node:
    return Node(
        report.draw_curves,
        [
            "history",
            "metrics",
            "trials",
            "metric_table",
            "accuracy_matrix",
            "interpolation_table",
            "published",
            "params:phases",
        ],
        by_name(
            "performance_figure",
            "forgetting_figure",
            "forgetting_zoom_figure",
            "accuracy_matrices_figure",
            "interpolation_figure",
        ),
        name="draw_curves",
    )


def _mistakes() -> Node:
    images = ["nice_images", "real_images"]
    return Node(
        report.draw_mistakes,
        ["metric_table", "joined_predictions", "trials", *images, "params:report"],
        MISTAKES,
        name="draw_mistakes",
    )


def _page() -> Node:
    return Node(
        report.write_page,
        by_name(
            "published",
            "params:phases",
            "params:training",
            "params:report",
            *STUDY_RESULTS,
            table="metric_table",
            table_without_leaks="metric_table_without_leaks",
            measures="continual_measures",
            speed="forgetting_speed",
            interpolations="interpolation_table",
            performance="performance_figure",
            forgetting="forgetting_figure",
            forgetting_zoom="forgetting_zoom_figure",
            accuracy_matrices="accuracy_matrices_figure",
            interpolation="interpolation_figure",
            mistakes="mistakes_sheet",
            hardest="hardest_sheet",
        ),
        "page",
        name="write_page",
    )

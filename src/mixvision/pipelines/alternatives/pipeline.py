"""The alternatives pipeline: is mixing enough? All arms, and the report that compares them."""

from kedro.pipeline import Node, Pipeline

from mixvision.evaluation.metrics import join_predictions
from mixvision.pipelines.alternatives import nodes
from mixvision.pipelines.mistakes import MISTAKES
from mixvision.pipelines.wiring import BOTH_DOMAINS, CLAIMS, STUDY_RESULTS, TRAINED, TRAINING, by_name, stage


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to one page; names are prefixed with "alternatives."."""
    inputs = {"manifest", "nice_images", "real_images", "split_audit", "split_summary", "training_events"}
    stages = [stage("train", _training()), stage("report", [*_report(), _page()])]
    return Pipeline(stages, namespace="alternatives", inputs=inputs, parameters={CLAIMS})


def _training() -> list[Node]:
    return [
        Node(nodes.plan_arms, ["params:study", CLAIMS, "params:training"], "trials", name="plan_arms"),
        Node(nodes.choose_images, ["manifest", "trials"], "training_sets", name="choose_images", tags=BOTH_DOMAINS),
        Node(nodes.train, TRAINING, TRAINED, name="train_models"),
    ]


def _report() -> list[Node]:
    images = ["nice_images", "real_images"]
    return [
        Node(join_predictions, ["predictions", "manifest"], "joined_predictions", name="join_predictions"),
        Node(
            nodes.measure,
            ["joined_predictions", "training_sets", "manifest", "trials", "outcomes", CLAIMS, "params:report"],
            ["metrics", "table", "forgetting", "summary"],
            name="measure_models",
        ),
        Node(
            nodes.draw,
            ["table", "forgetting", "trials"],
            by_name("performance_figure", "real_images_figure", "replay_figure"),
            name="draw_figures",
        ),
        Node(
            nodes.draw_mistakes,
            ["table", "joined_predictions", "trials", *images, "params:report"],
            MISTAKES,
            name="draw_mistakes",
        ),
    ]


def _page() -> Node:
    return Node(
        nodes.write_page,
        by_name(
            "params:training",
            "params:report",
            "table",
            "forgetting",
            *STUDY_RESULTS,
            joined="joined_predictions",
            claims=CLAIMS,
            performance="performance_figure",
            real_images="real_images_figure",
            replay="replay_figure",
            mistakes="mistakes_sheet",
            hardest="hardest_sheet",
        ),
        "page",
        name="write_page",
    )

"""The leakage pipeline: mixed training on a plain random split, beside mixed training on the study's splits."""

from kedro.pipeline import Node, Pipeline

from mixvision.evaluation.metrics import join_predictions
from mixvision.pipelines.leakage import nodes
from mixvision.pipelines.mistakes import MISTAKES
from mixvision.pipelines.mixed_training import choose_images, train
from mixvision.pipelines.wiring import STUDY_RESULTS, TRAINED, TRAINING, by_name, stage

PARAMETERS = {
    "params:splits": "params:ingestion.splits",
    **{f"params:{name}": f"params:mixing.{name}" for name in ("mixtures", "training", "report")},
}


def create_pipeline() -> Pipeline:
    """From mixed training's trials and predictions to one page; names are prefixed with "leakage."."""
    inputs = {"unsplit_manifest", "manifest", "nice_images", "real_images", "split_audit", "split_summary"}
    inputs |= {"training_events", "mixing.trials", "mixing.joined_predictions", "mixing.outcomes"}
    stages: list[Node | Pipeline] = [*_split(), stage("train", _training()), stage("report", _report())]
    return Pipeline(stages, namespace="leakage", inputs=inputs, parameters=PARAMETERS)


def _split() -> list[Node]:
    split = Node(nodes.split_plainly, ["unsplit_manifest", "params:splits"], "plain_manifest", name="split_at_random")
    check = Node(nodes.check_splits, "params:splits", None, name="check_splits", tags="check")
    return [check.tag("ingest"), split.tag("ingest")]


def _training() -> list[Node]:
    return [
        Node(nodes.plan_trials, "mixing.trials", "trials", name="plan_trials"),
        Node(choose_images, ["plain_manifest", "trials", "params:mixtures"], "training_sets", name="choose_images"),
        Node(train, TRAINING | {"manifest": "plain_manifest"}, TRAINED, name="train_models"),
    ]


def _report() -> list[Node]:
    return [
        Node(join_predictions, ["predictions", "plain_manifest"], "joined_predictions", name="join_predictions"),
        Node(
            nodes.compare,
            by_name(
                "manifest",
                "plain_manifest",
                "trials",
                mixing_trials="mixing.trials",
                mixing_joined="mixing.joined_predictions",
                joined="joined_predictions",
            ),
            ["metrics", "comparison"],
            name="compare_splits",
        ),
        Node(nodes.draw, ["comparison", "params:splits"], "accuracy_figure", name="draw_accuracies"),
        Node(
            nodes.draw_mistakes,
            ["comparison", "joined_predictions", "trials", "nice_images", "real_images", "params:report"],
            MISTAKES,
            name="draw_mistakes",
        ),
        Node(
            nodes.write_page,
            by_name(
                "params:splits",
                "params:training",
                "params:report",
                "comparison",
                "plain_manifest",
                *STUDY_RESULTS,
                mixing_outcomes="mixing.outcomes",
                accuracy="accuracy_figure",
                mistakes="mistakes_sheet",
                hardest="hardest_sheet",
            ),
            ["page", "summary"],
            name="write_page",
        ),
    ]

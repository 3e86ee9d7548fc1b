"""The conclusions pipeline: the study's hypotheses judged from the results of mixed and iterative training."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.conclusions import nodes
from mixvision.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """From both approaches' trials and predictions to one page; names are prefixed with "conclusions."."""
    results = [f"mixing.{name}" for name in ("trials", "joined_predictions", "history", "outcomes", "metric_table")]
    results += [f"iterative.{name}" for name in ("trials", "joined_predictions", "outcomes")]
    return Pipeline([*_judging(), *_report()], namespace="conclusions", tags="report", inputs={"published", *results})


def _judging() -> list[Node]:
    return [
        Node(
            nodes.judge,
            [
                "mixing.trials",
                "mixing.joined_predictions",
                "iterative.trials",
                "iterative.joined_predictions",
                "published",
                "params:claims",
            ],
            ["hypotheses", "ratios", "settings", "variances"],
            name="judge_hypotheses",
        ),
        Node(
            nodes.fit_mixing_law,
            ["mixing.history", "mixing.trials", "mixing.outcomes", "mixing.metric_table", "params:proxies"],
            ["mixing_law", "mixing_law_curves"],
            name="fit_mixing_law",
        ),
    ]


def _report() -> list[Node]:
    drawn = ["differences_figure", "ratios_figure", "approaches_figure", "mixing_law_figure"]
    return [
        Node(
            nodes.draw,
            ["hypotheses", "ratios", "settings", "mixing_law_curves", "published"],
            by_name(*drawn),
            name="draw_figures",
        ),
        Node(
            nodes.write_page,
            by_name(
                "published",
                "params:report",
                "params:proxies",
                "params:claims",
                "settings",
                "variances",
                mixing_trials="mixing.trials",
                iterative_trials="iterative.trials",
                mixing_outcomes="mixing.outcomes",
                iterative_outcomes="iterative.outcomes",
                verdicts="hypotheses",
                metric_table="mixing.metric_table",
                law="mixing_law",
                differences="differences_figure",
                ratios="ratios_figure",
                approaches="approaches_figure",
                law_fits="mixing_law_figure",
            ),
            ["page", "summary"],
            name="write_page",
        ),
    ]

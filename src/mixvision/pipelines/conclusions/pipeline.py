"""The conclusions pipeline: the study's hypotheses judged from the results of mixed and iterative training."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.conclusions import nodes


def create_pipeline() -> Pipeline:
    """From both approaches' trials and predictions to one page; names are prefixed with "conclusions."."""
    results = [f"mixing.{name}" for name in ("trials", "predictions", "history", "outcomes", "metric_table")]
    results += ["iterative.trials", "iterative.predictions"]
    return Pipeline([*_judging(), *_report()], namespace="conclusions", inputs=["manifest", "published", *results])


def _judging() -> list[Node]:
    return [
        Node(
            nodes.judge,
            [
                "manifest",
                "mixing.trials",
                "mixing.predictions",
                "iterative.trials",
                "iterative.predictions",
                "published",
                "params:report",
            ],
            ["hypotheses", "best_ratios", "settings"],
            name="judge",
        ),
        Node(
            nodes.fit_mixing_law,
            ["mixing.history", "mixing.trials", "mixing.outcomes", "mixing.metric_table", "params:proxies"],
            ["mixing_law", "mixing_law_curves"],
            name="fit_mixing_law",
        ),
    ]


def _report() -> list[Node]:
    drawn = ["differences_figure", "best_ratios_figure", "approaches_figure", "mixing_law_figure"]
    return [
        Node(
            nodes.draw,
            ["hypotheses", "best_ratios", "settings", "mixing_law_curves", "published"],
            drawn,
            name="draw",
        ),
        Node(
            nodes.write_page,
            ["hypotheses", "settings", "mixing.metric_table", "mixing_law", *drawn, "published", "params:report"],
            ["page", "summary"],
            name="write_page",
        ),
    ]

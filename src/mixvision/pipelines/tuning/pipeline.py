"""The tuning pipeline: the study's grids, an adaptive search with the same budget, and the setting that is chosen."""

from kedro.pipeline import Node, Pipeline

from mixvision.pipelines.mistakes import MISTAKES
from mixvision.pipelines.tuning import nodes
from mixvision.pipelines.wiring import BOTH_DOMAINS, by_name


def create_pipeline() -> Pipeline:
    """From the manifest and the pixels to the chosen setting and one page; names are prefixed with "tuning."."""
    return Pipeline(
        [Pipeline(_searches(), tags="train"), Pipeline(_report(), tags="report")],
        namespace="tuning",
        inputs={"manifest", "nice_images", "real_images", "published", "training_events"},
    )


def _searches() -> list[Node]:
    images = ["manifest", "nice_images", "real_images"]
    return [
        Node(
            nodes.search_grid,
            [*images, "params:grid", "params:training", "checkpoints", "training_events"],
            ["grid_trials", "grid_history", "grid_outcomes", "grid_predictions"],
            name="search_grid",
            tags=BOTH_DOMAINS,
        ),
        Node(
            nodes.search_adaptively,
            by_name(
                *images,
                "params:grid",
                "params:search",
                "params:training",
                "checkpoints",
                "studies",
                events="training_events",
            ),
            ["adaptive_trials", "adaptive_history", "adaptive_outcomes"],
            name="search_adaptively",
        ),
        Node(
            nodes.choose,
            [f"{search}_{table}" for search in ("grid", "adaptive") for table in ("trials", "history", "outcomes")],
            ["grid_scores", "adaptive_scores", "progress", "chosen"],
            name="choose_setting",
        ),
    ]


def _report() -> list[Node]:
    drawn = [f"{name}_figure" for name in ("rates", "factors", "final", "progress", "best_by_ratio", "adaptive_trials")]
    return [
        Node(
            nodes.draw, ["grid_scores", "adaptive_scores", "progress", "chosen"], by_name(*drawn), name="draw_figures"
        ),
        Node(
            nodes.draw_mistakes,
            ["grid_predictions", "manifest", "grid_scores", "chosen", "nice_images", "real_images"],
            MISTAKES,
            name="draw_mistakes",
        ),
        Node(
            nodes.write_page,
            by_name(
                "published",
                "params:grid",
                "params:search",
                "params:training",
                "params:title",
                "grid_scores",
                "adaptive_scores",
                "chosen",
                rates="rates_figure",
                factors="factors_figure",
                final="final_figure",
                progress="progress_figure",
                best_by_ratio="best_by_ratio_figure",
                adaptive_trials="adaptive_trials_figure",
                mistakes="mistakes_sheet",
                hardest="hardest_sheet",
            ),
            ["summary", "page"],
            name="write_page",
        ),
    ]

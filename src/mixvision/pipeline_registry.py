"""The pipelines by name. Each runs from scratch, so every training pipeline brings its ingestion."""

from kedro.pipeline import Pipeline

from mixvision.pipelines import ingestion, mixing


def register_pipelines() -> dict[str, Pipeline]:
    pipelines = {
        "ingestion": ingestion.create_pipeline(),
        "mixing": ingestion.create_pipeline() + mixing.create_pipeline(),
    }
    return {**pipelines, "__default__": pipelines["mixing"]}

"""The pipelines by name. Each runs from scratch, so every training pipeline brings its ingestion."""

from kedro.pipeline import Pipeline

from mixvision.pipelines import conclusions, ingestion, iterative, mixing, streams, tuning


def register_pipelines() -> dict[str, Pipeline]:
    images = ingestion.create_pipeline()
    pipelines = {
        "ingestion": images,
        "mixing": images + mixing.create_pipeline(),
        "iterative": images + iterative.create_pipeline(),
        "conclusions": images + mixing.create_pipeline() + iterative.create_pipeline() + conclusions.create_pipeline(),
        "tuning": images + tuning.create_pipeline(),
        "tuned_mixing": images + tuning.create_pipeline() + mixing.create_pipeline(tuned=True),
        "streams": images.to_outputs("unsplit_manifest") + streams.create_pipeline(),
    }
    return {**pipelines, "__default__": pipelines["mixing"]}

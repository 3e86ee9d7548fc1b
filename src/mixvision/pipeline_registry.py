"""The pipelines by name. Each runs from scratch, so every training pipeline brings its ingestion."""

import warnings

from kedro.pipeline import Pipeline

from mixvision.pipelines import (
    as_is,
    baselines,
    conclusions,
    ingestion,
    iterative,
    mixing,
    sanity_check,
    streams,
    submission,
    transfer,
    tuning,
)

# Kedro warns of the names of another pipeline's datasets ("mixing.trials"), which is just what they are meant to be.
warnings.filterwarnings("ignore", "One or more dataset names contain '.'")


def register_pipelines() -> dict[str, Pipeline]:
    images = ingestion.create_pipeline()
    pipelines = {
        "ingestion": images,
        "mixing": images + mixing.create_pipeline(),
        "iterative": images + iterative.create_pipeline(),
        "conclusions": images + mixing.create_pipeline() + iterative.create_pipeline() + conclusions.create_pipeline(),
        "tuning": images + tuning.create_pipeline(),
        "tuned_mixing": images + tuning.create_pipeline() + mixing.create_pipeline(tuned=True),
        "baselines": images + baselines.create_pipeline(),
        "transfer": images + transfer.create_pipeline(),
        "as_is": images.to_outputs("unsplit_manifest") + as_is.create_pipeline(),
        "submission": submission.create_pipeline(),
        "sanity_check": images + sanity_check.create_pipeline(),
        "streams": images.to_outputs("unsplit_manifest") + streams.create_pipeline(),
    }
    return {**pipelines, "__default__": pipelines["mixing"]}

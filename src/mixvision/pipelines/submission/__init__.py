"""From unlabelled images to a file of answers."""

from mixvision.pipelines.submission.pipeline import create_pipeline

__all__ = ["create_pipeline"]

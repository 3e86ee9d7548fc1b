"""Pretrained networks without any training."""

from mixvision.pipelines.as_is.pipeline import create_pipeline

__all__ = ["create_pipeline"]

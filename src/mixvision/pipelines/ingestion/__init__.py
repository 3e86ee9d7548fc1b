"""Image sources to pixels, manifest and splits."""

from mixvision.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]

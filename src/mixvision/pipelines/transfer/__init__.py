"""The transfer pipeline: pretrained networks with new heads, fine-tuned, joined, and compared."""

from mixvision.pipelines.transfer.pipeline import create_pipeline

__all__ = ["create_pipeline"]

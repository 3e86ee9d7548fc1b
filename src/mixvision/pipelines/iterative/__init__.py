from mixvision.pipelines.iterative.pipeline import create_pipeline

__all__ = ["create_pipeline"]

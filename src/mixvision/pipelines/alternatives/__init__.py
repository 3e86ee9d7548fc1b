from mixvision.pipelines.alternatives.pipeline import create_pipeline

__all__ = ["create_pipeline"]

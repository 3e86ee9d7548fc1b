from mixvision.pipelines.mixing.pipeline import create_pipeline

__all__ = ["create_pipeline"]

from mixvision.pipelines.sanity_check.pipeline import create_pipeline

__all__ = ["create_pipeline"]

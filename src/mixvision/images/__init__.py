"""Image files in, a manifest and uint8 pixels out; needs neither Kedro nor MLflow."""

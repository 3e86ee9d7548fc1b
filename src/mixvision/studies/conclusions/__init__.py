"""What the study concludes from mixed and iterative training."""

"""Conclusions from mixed and iterative training."""

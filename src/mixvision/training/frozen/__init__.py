"""Frozen networks: their features of images, and heads trained on these."""

"""Transforms of images on their way into a network: augmentation, test-time views."""

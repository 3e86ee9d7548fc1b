"""Iterative training: one domain first, then the other, and how much is forgotten."""

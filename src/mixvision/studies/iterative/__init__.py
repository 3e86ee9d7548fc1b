"""Iterative training: one domain first, then the other, and what is forgotten."""

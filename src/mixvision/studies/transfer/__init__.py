"""Pretrained networks: as they are, with new heads, and fine-tuned."""

"""Pretrained networks trained further, phase by phase."""

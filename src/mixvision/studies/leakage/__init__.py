"""Leakage: how much a plain random split flatters the study."""

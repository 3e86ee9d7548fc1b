"""Check that an architecture can learn at all."""

"""Whether an architecture can learn at all."""

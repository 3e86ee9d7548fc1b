"""Image classifiers for two worlds together: clean pictures and real photos of the same categories."""

import os

__version__ = "0.4.0"

# While PyTorch's threads wait for each other they spin, by default 300,000 times, before they sleep. If another program
# wants the core, training then takes many times as long. OpenMP reads this variable when PyTorch is imported.
# See docs/decisions/0005-short-spins.md.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

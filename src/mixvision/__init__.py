"""Image classifiers for two worlds at once: clean pictures and real photos of the same categories."""

__version__ = "0.4.0"

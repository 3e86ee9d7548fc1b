"""File formats: which one a file has, and where Pillow's reading of it is not enough."""

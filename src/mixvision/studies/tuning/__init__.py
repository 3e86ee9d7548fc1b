"""Learning rate and L2 factor: the study's grids and an adaptive search."""

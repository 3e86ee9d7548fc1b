"""Is mixing enough? Other ways to train on nice and real images, at equal numbers of steps and images."""

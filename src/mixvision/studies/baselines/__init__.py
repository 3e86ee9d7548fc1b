"""Plain networks, and what batch size, learning rate, dropout and augmentation change."""

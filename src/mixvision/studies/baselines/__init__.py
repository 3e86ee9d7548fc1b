"""Plain networks, and the effects of batch size, learning rate, dropout and augmentation."""

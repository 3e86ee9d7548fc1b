"""Mixed training: how much real data to mix in."""

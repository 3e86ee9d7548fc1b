"""Online learning from two folders that grow."""

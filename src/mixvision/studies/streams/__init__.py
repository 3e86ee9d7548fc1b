"""Online learning from two growing folders."""

"""Networks trained together as one."""

"""Many networks trained together as one."""

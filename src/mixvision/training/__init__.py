"""Engines that train networks, and what they share; none of them knows a study."""

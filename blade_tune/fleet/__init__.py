"""Processes that run a study: workers and their supervisor, run settings, placement on devices, cluster launchers."""

"""Processes that run a study: the worker, its supervisor, where they are placed and how they are told what to do."""

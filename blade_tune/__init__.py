"""Hyperparameter studies for behavior-set sequential recommendation whose results can be trusted."""

__version__ = "0.1.0"

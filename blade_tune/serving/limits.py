"""Limits of the server: how much a request may ask for, and how long it may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much a request may ask for, and how long it may take."""

    max_bytes: int = 2**20  # of a body
    max_users: int = 1000  # of a request
    max_k: int = 1000
    seconds: float = 10.0  # from the first byte of a request to its answer

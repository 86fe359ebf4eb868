"""What a worker is told to do."""

from datetime import datetime
from pathlib import Path

from pydantic import Field
from sqlalchemy.engine import URL, make_url

from blade_tune.config import Settings


class Order(Settings):
    """Goes to a worker process as JSON through its standard input: neither arguments nor environment hold a password."""

    study: str
    storage: str = Field(repr=False)  # a URL with its password
    results: Path
    data: Path | None
    device: str
    share: float  # of the device; below 1 there are other workers on it
    keep: int
    max_consecutive_failures: int
    heartbeat_s: float
    grace_s: float
    since: datetime  # failures that ended before are not held against this run; naive UTC as in the database

    @property
    def url(self) -> URL:
        """The database."""
        return make_url(self.storage)

"""What a worker is told to do."""

from pathlib import Path

from pydantic import AwareDatetime, ConfigDict, Field
from sqlalchemy.engine import URL, make_url

from blade_tune.config import Settings


class WorkerConfig(Settings):
    """Goes to a worker process as JSON through its standard input: no argument or variable holds a password."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an upgraded worker may not know an order of the run before

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
    since: AwareDatetime  # failures that ended before are not held against this run

    @property
    def url(self) -> URL:
        """The database."""
        return make_url(self.storage)

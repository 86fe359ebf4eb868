"""The configuration of a worker process, which its supervisor sends to it."""

from pathlib import Path

from pydantic import AwareDatetime, ConfigDict, Field
from sqlalchemy.engine import URL, make_url

from blade_tune.config import Settings


class WorkerConfig(Settings):
    """Everything that a worker process needs to know, sent as one line of JSON to its standard input.

    The URL of the database may hold a password. Command-line arguments and environment variables are readable by other
    processes, so that it is sent through neither.
    """

    # A worker starts with the package as it is installed then. After an upgrade in the middle of a run it may refuse
    # this configuration, and the message of that must not quote the password.
    model_config = ConfigDict(hide_input_in_errors=True)

    study: str  # its name
    storage: str = Field(repr=False)  # URL of the database, with the password
    results: Path
    # The folder of the data on this machine; None for the one that the study remembers.
    data: Path | None
    device: str
    share: float  # part of the device, in (0, 1]; below 1 other workers train on it too
    keep: int  # best trials that keep their weights
    max_consecutive_failures: int
    heartbeat_s: float  # seconds between two renewals of a lease
    grace_s: float  # seconds after which a silent worker is lost
    # The start of the run; trials that failed earlier do not count as its failures.
    since: AwareDatetime

    @property
    def url(self) -> URL:
        """The URL of the database, parsed."""
        return make_url(self.storage)

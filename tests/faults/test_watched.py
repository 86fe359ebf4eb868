"""The dashboard open on a study that six workers report to."""

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL

import pytest

from tests.cli.program import start
from tests.faults.fleet import TIMEOUT_S, Fleet, until

TRIALS, EPOCHS = 12, 20
POLLS_AT_LEAST = 10


class Reader:
    """Asks a dashboard for a study again and again, as its page does."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/studies"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.answers: list[int] = []  # rows of the study in each
        self.errors: list[str] = []

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._ended.wait(0.2):
            try:
                with urllib.request.urlopen(f"{self._address}/1?after=0", timeout=30) as answer:  # noqa: S310
                    self.answers.append(len(json.load(answer)["trials"]))
            except OSError as error:
                self.errors.append(str(error))


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def dashboard(fleet: Fleet) -> Iterator[Reader]:
    """A dashboard on the fleet's study, and who reads it meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(
        "dashboard", "--port", str(port), cwd=fleet.folder, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        until(lambda: listens(port))
        with Reader(port) as reader:
            yield reader
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_readers_and_reports_do_not_disturb_each_other(fleet: Fleet):
    """Six workers that report every 50 ms to a SQLite file lose nothing while a dashboard reads it, nor does that.

    Nobody meets an error, nobody waits for a lock.
    """
    fleet.define(TRIALS, EPOCHS)
    assert fleet.run("--trials", "1") == 0, fleet.said  # so that there is a study to read
    with dashboard(fleet) as reader:
        run = fleet.start("--trials", str(TRIALS), "--workers", "6", epoch_s=0.05)
        assert run.wait(TIMEOUT_S) == 0, fleet.said
    assert len(fleet.require_whole(TRIALS, EPOCHS)) == TRIALS
    warnings = [line for line in fleet.said.splitlines() if "WARNING" in line]
    # So few epochs beat nothing
    assert [line for line in warnings if " is BELOW untuned " not in line] == []
    assert reader.errors == []
    assert len(reader.answers) >= POLLS_AT_LEAST
    assert reader.answers == sorted(reader.answers)

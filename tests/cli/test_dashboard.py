"""The dashboard."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.cli.program import call, finish, start

START_S = 60.0  # on a machine that has much else to do


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def dashboard(finished, port) -> Iterator[subprocess.Popen[str]]:
    """The dashboard on the finished study, listening."""
    process = start("dashboard", "--port", str(port), cwd=finished, stdout=subprocess.DEVNULL)
    with process:
        try:
            end = time.monotonic() + START_S
            while not listens("127.0.0.1", port):
                assert process.poll() is None, "the dashboard ended by itself"
                assert time.monotonic() < end, "the dashboard does not listen"
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


def listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


def test_the_dashboard_shows_stored_studies(finished, dashboard, port):
    """It serves its page and the study on 127.0.0.1 alone, says where, changes nothing, and Ctrl-C ends it."""
    before = call("trials", "--study", "tiny", "-f", "json", cwd=finished).out
    assert "<html" in get(port, "/dashboard/")
    assert [study["study_name"] for study in json.loads(get(port, "/api/studies"))["study_summaries"]] == ["tiny"]
    assert not listens("127.0.0.2", port)
    assert call("trials", "--study", "tiny", "-f", "json", cwd=finished).out == before
    dashboard.send_signal(signal.SIGINT)
    ended = finish(dashboard)
    assert f"on http://127.0.0.1:{port}/dashboard/ (Ctrl-C ends it)" in ended.err
    assert (ended.code, "Traceback" in ended.err) == (0, False)


def test_a_taken_port_is_named(finished):
    """On a port that is in use it ends in 2 and says which option to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = call("dashboard", "--port", str(port), cwd=finished)
    assert (ended.code, f"--port must be a free one, got {port}" in ended.err) == (2, True)

"""The dashboard."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from blade_tune.study.workspace import Workspace
from tests.cli.program import call, finish, start

START_S = 60.0  # on a machine that has much else to do
REFRESH_S = 20.0  # the dashboard looks for new trials every two seconds


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def dashboard(finished, port) -> Iterator[subprocess.Popen[str]]:
    """The dashboard on the finished study, listening."""
    with serving(finished, port) as process:
        yield process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(cwd: Path, port: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The dashboard as a process of its own, listening; killed after the block."""
    process = start("dashboard", "--port", str(port), *words, cwd=cwd, stdout=subprocess.DEVNULL)
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


def ask(port: int, method: str, path: str, content: Any = None) -> tuple[int, str]:
    """Status and body of the answer to a request that may change something."""
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def names(port: int) -> list[str]:
    return [
        study["study_name"] for study in json.loads(get(port, "/api/studies"))["study_summaries"]
    ]


def test_the_dashboard_shows_stored_studies(finished, dashboard, port):
    """It serves its page and the study on 127.0.0.1 alone, says where, changes nothing, and Ctrl-C ends it."""
    before = call("trials", "--study", "tiny", "-f", "json", cwd=finished).out
    assert "<html" in get(port, "/dashboard/")
    assert names(port) == ["tiny"]
    assert not listens("127.0.0.2", port)
    assert call("trials", "--study", "tiny", "-f", "json", cwd=finished).out == before
    dashboard.send_signal(signal.SIGINT)
    ended = finish(dashboard)
    assert f"on http://127.0.0.1:{port}/dashboard/ (Ctrl-C ends it)" in ended.err
    assert len(ended.err.splitlines()) == 1  # no line a request
    assert (ended.code, "Traceback" in ended.err) == (0, False)


def test_sigterm_ends_it_as_it_ends_every_command(dashboard):
    """A terminated dashboard ends at once in 75, with one message."""
    dashboard.send_signal(signal.SIGTERM)
    ended = finish(dashboard)
    assert (ended.code, "Traceback" in ended.err) == (75, False)


@pytest.mark.usefixtures("dashboard")
def test_it_only_shows(port):
    """Without --edit whatever would change a study is refused with the way out, and all studies are still there."""
    for method, path in (
        ("POST", "/api/studies"),
        ("DELETE", "/api/studies/1"),
        ("PUT", "/api/studies/1/note"),
    ):
        code, body = ask(port, method, path, {"study_name": "new", "directions": ["maximize"]})
        assert (code, "blade-tune dashboard --edit" in body) == (403, True)
    assert names(port) == ["tiny"]


def test_edit_lets_pages_change_studies(finished_copy, port):
    """With --edit a page can make a study and delete one, its files included."""
    artifacts = finished_copy / "results" / "artifacts"
    assert any(artifacts.iterdir())
    with serving(finished_copy, port, "--edit"):
        code, body = ask(
            port, "POST", "/api/studies", {"study_name": "new", "directions": ["maximize"]}
        )
        assert (code, json.loads(body)["study_summary"]["study_name"]) == (201, "new")
        assert (
            ask(port, "DELETE", "/api/studies/1", {"remove_associated_artifacts": True})[0] == 204
        )
        assert names(port) == ["new"]
    assert not any(artifacts.iterdir())


def test_it_may_stay_open_while_a_study_runs(finished_copy, port):
    """A trial that starts and ends while the dashboard is open shows up, with its state."""
    results = finished_copy / "results"
    study = Workspace.at(None, results).study("tiny").study

    def states() -> list[str]:
        return [
            trial["state"] for trial in json.loads(get(port, "/api/studies/1?after=0"))["trials"]
        ]

    def comes(state: str) -> bool:
        end = time.monotonic() + REFRESH_S
        while (shown := states())[-1] != state or len(shown) != 4:
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    with serving(finished_copy, port):
        assert len(states()) == 3
        study.add_trial(optuna.create_trial(state=TrialState.WAITING))
        trial = study.ask()
        assert comes("Running")
        study.tell(trial, 0.5)
        assert comes("Complete")


def test_another_address_is_warned_of(finished_copy, port):
    """On an address that others reach it says that there is no login and what they can do."""
    for words, can in (((), "read"), (("--edit",), "read and delete")):
        with serving(finished_copy, port, "--host", "0.0.0.0", *words) as process:  # noqa: S104
            assert listens("127.0.0.2", port)
            process.send_signal(signal.SIGINT)
            ended = finish(process)
        assert (
            f"WARNING no login: anyone who reaches 0.0.0.0 on port {port} can {can} all studies."
            in ended.err
        )
        assert ended.code == 0


def test_a_taken_port_is_named(finished):
    """On a port that is in use it ends in 2 and says which option to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = call("dashboard", "--port", str(port), cwd=finished)
    assert (ended.code, f"--port must be a free one, got {port}" in ended.err) == (2, True)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_named(finished, port, host):
    """An address that is not this machine's ends in 2 and says which option to change."""
    ended = call("dashboard", "--host", host, "--port", str(port), cwd=finished)
    assert (ended.code, f"--host must be this machine's, got {host!r}" in ended.err) == (2, True)

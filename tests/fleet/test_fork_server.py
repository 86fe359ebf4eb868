"""Workers forked by a fork server: processes like any other, whose end is always known, and the same values."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from blade_tune.fleet import worker_start
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.fork_server import UNKNOWN, ForkedProcess, ForkServer
from blade_tune.fleet.run import run_workers
from blade_tune.fleet.settings import RunSettings
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback
from tests import tiny

CPU = Placement("cpu", "", 1.0, 1)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TIMEOUT_S = 60.0


def until(holds: Callable[[], object]) -> None:
    """Wait for something."""
    end = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def server() -> Iterator[ForkServer]:
    running = ForkServer([], ENVIRONMENT)
    yield running
    running.close()


@pytest.fixture(scope="module")
def warm() -> Iterator[ForkServer]:
    """A fork server that has imported, which tests leave alive."""
    running = ForkServer([], ENVIRONMENT)
    process = running.fork(ENVIRONMENT)
    until(lambda: process.pid)
    process.kill()
    process.close()
    yield running
    running.close()


@pytest.fixture
def forked() -> Iterator[Callable[[ForkServer], ForkedProcess]]:
    """Forks workers, and ends them after the test."""
    processes = []

    def fork(server: ForkServer, environment: Mapping[str, str] = ENVIRONMENT) -> ForkedProcess:
        processes.append(server.fork(environment))
        return processes[-1]

    yield fork
    for process in processes:
        process.kill()
        process.wait()
        process.close()


def end(process: ForkedProcess, number: signal.Signals) -> int | None:
    process.send_signal(number)
    until(lambda: process.poll() is not None)
    return process.poll()


def test_a_forked_worker_has_its_own_session_environment_and_streams(warm: ForkServer, forked):
    """It gets the given variables alone, leads a session, and says on its own standard error why it failed."""
    process = forked(warm, {"ONLY": "this"})
    until(lambda: process.pid)
    assert os.getsid(process.pid) == process.pid
    process.stdin.write("no configuration\n")
    process.stdin.flush()
    assert process.wait() == 1
    assert "Invalid JSON" in process.stderr.read()
    assert process.stdout.read() == ""


def test_requests_of_any_size_and_number_are_served(warm: ForkServer, forked):
    """Many at once, of which each is larger than what a socket takes at a time."""
    large = {"LARGE": "x" * 300_000}
    processes = [forked(warm, {**large, "NUMBER": str(number)}) for number in range(4)]
    until(lambda: all(process.pid for process in processes))
    assert len({process.pid for process in processes}) == 4


def test_the_end_of_a_forked_worker_is_known(warm: ForkServer, forked):
    """By a signal it is the signal's negative number."""
    assert end(forked(warm), signal.SIGKILL) == -signal.SIGKILL
    assert end(forked(warm), signal.SIGTERM) == -signal.SIGTERM


def test_a_worker_that_has_not_started_can_be_stopped(server: ForkServer, forked):
    """While the fork server imports, a kill counts at once, and another signal is sent after the start."""
    killed, asked = forked(server), forked(server)
    killed.kill()
    asked.send_signal(signal.SIGTERM)
    assert (killed.pid, killed.poll()) == (None, -signal.SIGKILL)
    until(lambda: asked.poll() is not None)
    assert asked.poll() == -signal.SIGTERM
    until(lambda: killed.pid)
    until(lambda: not psutil.pid_exists(killed.pid))


def test_workers_outlive_their_fork_server_and_are_watched(server: ForkServer, forked):
    """Their end is then noticed all the same, and the next start replaces the fork server."""
    process = forked(server)
    until(lambda: process.pid)
    server._process.kill()
    until(lambda: server.is_gone)
    assert process.poll() is None
    with pytest.raises(OSError, match="died"):
        server.fork(ENVIRONMENT)
    process.kill()
    assert process.wait() in (UNKNOWN, -signal.SIGKILL)

    one = worker_start._server({"OMP_NUM_THREADS": "3"}, "blade")
    assert worker_start._server({"OMP_NUM_THREADS": "3", "HOME": "/"}, "blade") is one
    one._process.kill()
    until(lambda: one.is_gone)
    other = worker_start._server({"OMP_NUM_THREADS": "3"}, "blade")
    assert other is not one
    other.close()


def test_a_worker_s_values_do_not_depend_on_how_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """To the bit, forked or with an interpreter of its own."""
    values = []
    for name in ("forked", "spawned"):
        root = tmp_path / name
        definition = tiny.define(search__trials=2)
        stored = open_study(definition, tiny.tiny_data(root), Workspace.at(None, root))
        run_workers(stored, RunSettings(workers=1), [CPU], Callback())
        values.append([trial.intermediate_values for trial in stored.trials])
        monkeypatch.setattr(worker_start, "_can_fork", lambda _: False)
    assert values[0] == values[1]
    assert all(values[0])

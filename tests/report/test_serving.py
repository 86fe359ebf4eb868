"""The dashboard's server: what it refuses, and where it listens."""

import socket

import pytest

from blade_tune.errors import PreemptedError
from blade_tune.report import serving
from blade_tune.report.serving import REFUSAL, is_loopback, read_only


@pytest.mark.parametrize(
    ("method", "passes"),
    [
        ("GET", True),
        ("HEAD", True),
        ("OPTIONS", True),
        ("POST", False),
        ("PUT", False),
        ("DELETE", False),
        ("X", False),
    ],
)
def test_read_only_lets_nothing_pass_that_may_write(method, passes):
    """Every method but those that read by definition is answered 403 with the reason, and the application not asked."""
    answers: list[str] = []
    app = read_only(lambda *_: [b"asked"])
    body = app({"REQUEST_METHOD": method}, lambda status, _: answers.append(status))
    assert (list(body), answers) == (([b"asked"], []) if passes else ([REFUSAL], ["403 Forbidden"]))


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - that it is open is what is tested
        ("192.0.2.1", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_only_loopback_is_this_machine_alone(host, only_here):
    """Every other address, and every name but localhost, may be reached from elsewhere."""
    assert is_loopback(host) == only_here


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

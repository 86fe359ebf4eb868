"""Whom the dashboard answers: its own pages, under names of this machine."""

import socket
from typing import Any

import pytest

from blade_tune.report.guard import HEADERS, OF_ARTIFACTS, guarded, is_loopback, is_own_name

PAGE = {"HTTP_HOST": "127.0.0.1:8080", "REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies"}


def ask(
    host: str = "127.0.0.1", *, edit: bool = False, **environ: str
) -> tuple[str, dict[str, str], str]:
    """Status, headers and body of the answer to a request that our own page could make, some of it changed."""
    answers: list[Any] = []

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response(
            "200 OK",
            [("Access-Control-Allow-Origin", "*"), ("X-Frame-Options", "ALLOWALL"), ("A", "b")],
        )
        return [b"asked"]

    request = {name: value for name, value in {**PAGE, **environ}.items() if value}
    body = guarded(app, host, edit=edit)(request, lambda *answer: answers.append(answer))
    [(status, headers)] = answers
    return status, dict(headers), b"".join(body).decode()


@pytest.mark.parametrize("edit", [False, True])
@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "X"]
)
def test_only_an_editing_dashboard_is_asked_to_write(method, edit):
    """Every method but those that read by definition is answered 403 with the reason, unless it may edit."""
    passes = edit or method in ("GET", "HEAD", "OPTIONS")
    status, _, body = ask(edit=edit, REQUEST_METHOD=method)
    assert (status, body == "asked") == (("200 OK", True) if passes else ("403 Forbidden", False))
    assert passes or "--edit" in body


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("host", "name", "passes"),
    [
        ("127.0.0.1", "127.0.0.1:8080", True),
        ("127.0.0.1", "localhost:9000", True),  # a tunnel
        ("127.0.0.1", "LOCALHOST.", True),
        ("127.0.0.1", "[::1]:8080", True),
        ("::1", "localhost", True),
        ("127.0.0.1", "rebound.test:8080", False),
        ("127.0.0.1", "localhost.rebound.test", False),
        ("127.0.0.1", "127.0.0.1.rebound.test", False),
        # No browser sends a user; the machine is named all the same
        ("127.0.0.1", "rebound.test@127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1@rebound.test", False),
        ("127.0.0.1", "192.0.2.1:8080", False),
        ("127.0.0.1", "0.0.0.0:8080", False),
        ("127.0.0.1", "", False),
        ("", "", False),
        ("127.0.0.1", "[", False),
        ("0.0.0.0", "rebound.test", False),  # noqa: S104 - what may be asked is what is tested
        ("0.0.0.0", "192.0.2.1:8080", True),  # noqa: S104
        ("0.0.0.0", "localhost", True),  # noqa: S104
        ("::", "[2001:db8::1]:8080", True),
        ("gpu1.example.org", "GPU1.example.org:8080", True),
        ("gpu1.example.org", "gpu2.example.org:8080", False),
    ],
)
def test_a_name_that_is_not_this_machine_s_is_refused(host, name, passes, method):
    """Under a name that somebody else may lead here nothing is read or changed; the answer says what to do."""
    status, _, body = ask(host, edit=True, HTTP_HOST=name, REQUEST_METHOD=method)
    assert (status, body == "asked") == (("200 OK", True) if passes else ("403 Forbidden", False))
    assert passes or "Use localhost, or start it with `blade-tune dashboard --host" in body


def test_where_others_may_ask_the_machine_has_its_own_name():
    """Behind 0.0.0.0 stands the name of the machine too; behind a loopback address it does not."""
    name = socket.gethostname().lower()
    assert is_own_name(name, "0.0.0.0")  # noqa: S104 - that it is open is what is tested
    assert is_own_name(name, "127.0.0.1") == is_loopback(name)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),  # no browser
        ({"HTTP_ORIGIN": "http://127.0.0.1:8080", "HTTP_SEC_FETCH_SITE": "same-origin"}, True),
        ({"HTTP_ORIGIN": "https://127.0.0.1:8080"}, True),  # a proxy that speaks for it
        ({"HTTP_ORIGIN": "http://127.0.0.1:8081"}, False),
        ({"HTTP_ORIGIN": "http://evil.test"}, False),
        ({"HTTP_ORIGIN": "http://127.0.0.1:8080.evil.test"}, False),
        ({"HTTP_ORIGIN": "null"}, False),
        ({"HTTP_ORIGIN": "http://["}, False),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, False),  # another port of this machine
        ({"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "no-cors"}, False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_sites_are_not_answered(headers, passes, method):
    """What a page of another origin asks or sends is refused, whatever it calls itself."""
    assert ask(edit=True, REQUEST_METHOD=method, **headers)[0] == (
        "200 OK" if passes else "403 Forbidden"
    )


def test_a_link_from_another_site_leads_here():
    """A link may be followed to a page; a form may not be sent."""
    link = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"}
    assert ask(edit=True, **link)[0] == "200 OK"
    assert ask(edit=True, REQUEST_METHOD="POST", **link)[0] == "403 Forbidden"


@pytest.mark.parametrize("path", ["/api/studies", "/artifacts/1/ab", "/dashboard"])
def test_answers_say_what_browsers_may_do_with_them(path):
    """No answer may be read, embedded or guessed at by others; an artifact is a download that runs nothing."""
    _, headers, _ = ask(PATH_INFO=path)
    expected = {**HEADERS, **(OF_ARTIFACTS if path.startswith("/artifacts/") else {})}
    assert headers == {"A": "b", **expected}
    assert headers["X-Content-Type-Options"] == "nosniff"


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

"""Which requests the dashboard answers, so that no page of another site reads or changes anything through a browser.

A page can have a name of its own lead to this machine (DNS rebinding) and is then of one origin with what it asks; but
the name stands in the request. And any page can send requests to an address of this machine, without reading answers.
"""

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

READING = ("GET", "HEAD", "OPTIONS")
OWN_PAGES = (None, "none", "same-origin")  # of Sec-Fetch-Site: what no browser sent, what the user typed, our own pages
ARTIFACTS = "/artifacts/"

SHOWS_ONLY = "This dashboard only shows. Start it with `blade-tune dashboard --edit` to change or delete studies."
OTHER_NAME = (
    "This dashboard answers under the names of its own machine only, and was asked as {name!r}. Use localhost, or "
    "start it with `blade-tune dashboard --host {name}` if its machine has that name."
)
OTHER_SITE = "This dashboard does not answer the pages of other sites."

HEADERS = {  # of every answer
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
OF_ARTIFACTS = {  # files that trials left: shown by our pages, run by nobody
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def guarded(app: "WSGIApplication", host: str, *, edit: bool) -> "WSGIApplication":
    """An application that answers its own pages, under names of this machine.

    Args:
        app: what answers.
        host: the address that is listened on.
        edit: whether its pages may change something.
    """

    def guard(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if reason := refusal(environ, host, edit=edit):
            headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
            start_response("403 Forbidden", list(headers.items()))
            return [reason.encode() + b"\n"]
        return app(environ, _with_headers(environ["PATH_INFO"], start_response))

    return guard


def refusal(environ: Mapping[str, Any], host: str, *, edit: bool) -> str:
    """Why a request is not answered; empty where it is."""
    name = _host_name(environ.get("HTTP_HOST", ""))
    if not is_own_name(name, host):
        return OTHER_NAME.format(name=name)
    origin, reads = environ.get("HTTP_ORIGIN"), environ["REQUEST_METHOD"] in READING
    if origin is not None and origin.lower().partition("://")[2] != environ["HTTP_HOST"].lower():
        return OTHER_SITE
    is_link = reads and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
    if environ.get("HTTP_SEC_FETCH_SITE") not in OWN_PAGES and not is_link:
        return OTHER_SITE
    return "" if reads or edit else SHOWS_ONLY


def is_own_name(name: str, host: str) -> bool:
    """Whether a name in a request is one of this machine, where `host` is listened on.

    A number is no name that somebody else could lead here; where others may ask, each of this machine's is good.
    """
    if not name or is_loopback(host):
        return is_loopback(name) or (name == host.lower() != "")
    return is_loopback(name) or name == host.lower() or _is_address(name) or name in _own_names()


@cache
def _own_names() -> frozenset[str]:
    return frozenset((socket.gethostname().lower(), socket.getfqdn().lower()))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(name))
    return False


def _host_name(header: str) -> str:
    """The name in a Host header, without its port."""
    with suppress(ValueError):
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    return ""


def _with_headers(path: str, start_response: "StartResponse") -> "StartResponse":
    """`start_response` with our headers; none that lets other sites read is left."""
    ours = {**HEADERS, **OF_ARTIFACTS} if path.startswith(ARTIFACTS) else HEADERS
    replaced = {name.lower() for name in ours} | {"access-control-allow-origin"}

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
        kept = [(name, value) for name, value in headers if name.lower() not in replaced]
        return start_response(status, [*kept, *ours.items()], *rest)

    return start

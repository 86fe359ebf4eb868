"""Filter of the dashboard's requests, so that no page of another site reads or changes studies through a browser.

A site can let a name of its own lead to this machine (DNS rebinding), so that its pages have the same origin as the
dashboard; but then that name stands in the request's Host header. And any page can send requests to an address of this
machine, though without reading the answers; these have headers that name their origin.
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
# Values of Sec-Fetch-Site: not from a browser, typed by the user, from our own pages
OWN_PAGES = (None, "none", "same-origin")
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
OF_ARTIFACTS = {  # of files that trials left: our pages may show them, but no browser may run them
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def guarded(app: "WSGIApplication", host: str, *, edit: bool) -> "WSGIApplication":
    """Wrap an application so that it answers only its own pages, and only under names of this machine.

    Args:
        app: the application.
        host: the address that the server listens on.
        edit: whether requests may change something; otherwise those that could are refused with 403.
    """

    def guard(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if reason := refusal(environ, host, edit=edit):
            headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
            start_response("403 Forbidden", list(headers.items()))
            return [reason.encode() + b"\n"]
        return app(environ, _with_headers(environ["PATH_INFO"], start_response))

    return guard


def refusal(environ: Mapping[str, Any], host: str, *, edit: bool) -> str:
    """Return why a request is refused, as text for the answer; empty if it is allowed."""
    name = _host_name(environ.get("HTTP_HOST", ""))
    if not is_own_name(name, host):
        return OTHER_NAME.format(name=name)

    # Browsers send Origin with requests that may change something, and Sec-Fetch-Site; other programs send neither.
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.lower().partition("://")[2] != environ["HTTP_HOST"].lower():
        return OTHER_SITE

    # A link on another site that the user follows shows our page, but lets that site read nothing of it.
    only_reads = environ["REQUEST_METHOD"] in READING
    is_link = only_reads and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
    if environ.get("HTTP_SEC_FETCH_SITE") not in OWN_PAGES and not is_link:
        return OTHER_SITE
    return "" if only_reads or edit else SHOWS_ONLY


def is_own_name(name: str, host: str) -> bool:
    """Return whether the name in a request's Host header is one of this machine.

    If other machines may ask, any numeric address is accepted too, for such an address cannot lead elsewhere.

    Args:
        name: the name without a port.
        host: the address that the server listens on.
    """
    if is_loopback(name):
        return True
    if not name:
        return False
    if name == host.lower():
        return True
    return not is_loopback(host) and (_is_address(name) or name in _own_names())


@cache
def _own_names() -> frozenset[str]:
    return frozenset((socket.gethostname().lower(), socket.getfqdn().lower()))


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(name))
    return False


def _host_name(header: str) -> str:
    """Return the name in a Host header without its port; empty if it is malformed."""
    with suppress(ValueError):
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    return ""


def _with_headers(path: str, start_response: "StartResponse") -> "StartResponse":
    """Return a `start_response` that adds our headers and removes any that lets other sites read the answer."""
    ours = {**HEADERS, **OF_ARTIFACTS} if path.startswith(ARTIFACTS) else HEADERS
    replaced = {name.lower() for name in ours} | {"access-control-allow-origin"}

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
        kept = [(name, value) for name, value in headers if name.lower() not in replaced]
        return start_response(status, [*kept, *ours.items()], *rest)

    return start

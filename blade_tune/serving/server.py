"""The server: a bundle's model, the threads that compute, and a graceful end."""

import errno
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import torch
import uvicorn

from blade_tune.errors import ConfigError, PreemptedError
from blade_tune.serving.application import Serving, application
from blade_tune.serving.limits import Limits
from blade_tune.serving.measures import Measures
from blade_tune.serving.service import Service

BACKLOG = 1024  # connections that wait to be accepted


@dataclass(frozen=True)
class Place:
    """Where a server listens, and with what it computes."""

    host: str
    port: int  # 0 for any free one
    threads: int  # requests computed at a time, each by one CPU thread


def serve(
    service: Service, limits: Limits, place: Place, listening: Callable[[str], object]
) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then finish those that have begun.

    Args:
        service: the model.
        limits: of a request.
        place: where to listen.
        listening: called with the server's URL once it can be reached.

    Raises:
        ConfigError: the address is not this machine's, or the port is taken.
    """
    # A thread a request: of several requests at a time each is computed by its own core
    torch.set_num_threads(1)
    with _bound(place) as bound, ThreadPoolExecutor(place.threads) as pool:
        serving = Serving(service, limits, pool, Measures(service.health))
        config = uvicorn.Config(
            application(serving, place.host),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=round(limits.seconds) + 1,
        )
        url_host = f"[{place.host}]" if ":" in place.host else place.host
        listening(f"http://{url_host}:{bound.getsockname()[1]}/")
        # The server stops by itself and then sends the signal on, whose handler raises
        with suppress(KeyboardInterrupt, PreemptedError):
            uvicorn.Server(config).run(sockets=[bound])


def _bound(place: Place) -> socket.socket:
    """Return a socket that listens."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        bound = socket.create_server((place.host, place.port), family=family, backlog=BACKLOG)
    except OSError as error:
        fact = f"--host must be this machine's, got {place.host!r}"
        if isinstance(error, PermissionError) or error.errno == errno.EADDRINUSE:
            fact = f"--port must be a free one, got {place.port}"
        reason = str(error.strerror).partition(" (while ")[0]  # the address is named already
        raise ConfigError(f"{fact}: {reason}.") from None
    # Connections inherit it. Without it an answer's body waits 40 ms for its header to be acknowledged.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound

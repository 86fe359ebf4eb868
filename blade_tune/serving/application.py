"""The ASGI application: paths, limits of size and time, and errors as JSON."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blade_tune.errors import BladeTuneError
from blade_tune.report.guard import is_loopback, is_own_name
from blade_tune.serving.limits import Limits
from blade_tune.serving.measures import Measures
from blade_tune.serving.openapi import openapi_document
from blade_tune.serving.service import BODY, RefusedError, Service, as_json

WAITING = 128  # most requests that wait or are computed at a time
JSON = "application/json"
PATHS = {
    "/recommend": "POST",
    "/health": "GET",
    "/metrics": "GET",
    "/openapi.json": "GET",
}


@dataclass
class _Progress:
    """How far a request has come, by which a late one is answered."""

    stage: Literal["read", "wait", "compute"] = "read"


@dataclass
class Serving:
    """A model that answers requests within limits."""

    service: Service
    limits: Limits
    pool: ThreadPoolExecutor  # as many requests are computed at a time as it has threads
    measures: Measures
    in_progress: int = field(default=0, init=False)

    async def recommend(self, request: Request) -> Response:
        """Answer `POST /recommend`."""
        if self.in_progress >= WAITING:
            raise RefusedError(503, "server", "too many requests wait; ask again in a second.")
        progress = _Progress()
        self._set_in_progress(self.in_progress + 1)
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await self._body(request)
                progress.stage = "wait"
                # A request that is late while it waits for a thread is never computed
                running = asyncio.get_running_loop().run_in_executor(
                    self.pool, self._compute, body, progress
                )
                content, num_users = await running
        except TimeoutError:
            raise self._late(progress) from None
        finally:
            self._set_in_progress(self.in_progress - 1)
        self.measures.users.inc(num_users)
        return Response(content, media_type=JSON)

    async def health(self, _: Request) -> Response:
        """Answer `GET /health`."""
        return Response(as_json(self.service.health.model_dump()), media_type=JSON)

    async def metrics(self, _: Request) -> Response:
        """Answer `GET /metrics`."""
        return Response(self.measures.text(), headers={"Content-Type": self.measures.content_type})

    async def _body(self, request: Request) -> bytes:
        """Read the body of a request, as far as it is within limits."""
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != JSON:
            # Pages of other sites cannot send this type without a permission that is never given
            raise RefusedError(
                415, "Content-Type", f"must be {JSON}, got {media[:100]!r}; send the body as JSON."
            )
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.limits.max_bytes:
                raise RefusedError(
                    413,
                    BODY,
                    f"must have at most {self.limits.max_bytes:,} bytes; ask for fewer users at a time, or start the "
                    "server with --max-bytes.",
                )
        return bytes(body)

    def _compute(self, body: bytes, progress: _Progress) -> tuple[bytes, int]:
        progress.stage = "compute"
        return self.service.answer(body, self.limits)

    def _late(self, progress: _Progress) -> RefusedError:
        """Return how a request is refused that took too long."""
        limit = f"{self.limits.seconds:g} s, the limit of a request"
        if progress.stage == "read":
            return RefusedError(408, BODY, f"did not arrive within {limit}; send it faster.")
        if progress.stage == "wait":
            return RefusedError(
                503, "server", f"too busy to begin within {limit}; ask again in a second."
            )
        return RefusedError(
            504,
            BODY,
            f"not computed within {limit}; ask for fewer users at a time, or start the server with --max-seconds.",
        )

    def _set_in_progress(self, number: int) -> None:
        self.in_progress = number
        self.measures.in_progress.set(number)


def application(serving: Serving, host: str) -> ASGIApp:
    """Return the application.

    Args:
        serving: the model.
        host: the address that the server will listen on. On a loopback address only names of this machine are answered,
            so that no page reaches it under a name of its own (DNS rebinding).
    """
    document = as_json(openapi_document())

    async def openapi(_: Request) -> Response:
        return Response(document, media_type=JSON)

    routes = {
        "/recommend": serving.recommend,
        "/health": serving.health,
        "/metrics": serving.metrics,
        "/openapi.json": openapi,
    }
    app = Starlette(
        routes=[Route(path, routes[path], methods=[method]) for path, method in PATHS.items()],
        exception_handlers={
            RefusedError: _refused,
            BladeTuneError: _failed,
            HTTPException: _of_http,
            Exception: _failed,
        },
    )
    return _Outside(app, serving.measures, host)


class _Outside:
    """What every request passes first: its name is checked, its answer is counted and timed.

    Args:
        app: what answers.
        measures: what is counted.
        host: the address that is listened on.
    """

    def __init__(self, app: ASGIApp, measures: Measures, host: str) -> None:
        self._app = app
        self._measures = measures
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in PATHS else "other"
                self._measures.count(path, message["status"], time.perf_counter() - begun)
            await send(message)

        app: ASGIApp = self._app
        name = urlsplit(f"//{Request(scope).headers.get('host', '')}").hostname or ""
        if is_loopback(self._host) and not is_own_name(name, self._host):
            words = (
                f"this server answers under the names of its own machine only, and was asked as {name!r}; use "
                "localhost, or start it with --host."
            )
            app = _answer(403, "Host", words)
        await app(scope, receive, counting)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - for the type checker
    headers = {"Retry-After": "1"} if error.status == 503 else {}
    return _answer(error.status, error.place, str(error), headers)


async def _failed(_: Request, error: Exception) -> Response:
    words = str(error) if isinstance(error, BladeTuneError) else "failed; its log says why."
    return _answer(500, "server", words)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    known = ", ".join(f"{method} {path}" for path, method in PATHS.items())
    words = f"{error.detail}; there are {known}."
    place = f"{request.method} {request.url.path}"
    return _answer(error.status_code, place, words, error.headers)


def _answer(
    status: int, place: str, words: str, headers: Mapping[str, str] | None = None
) -> Response:
    content = as_json({"place": place, "error": words})
    return Response(content, status, headers, JSON)

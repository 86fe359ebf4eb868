"""Pages in the system's Chromium, watched: one that complains, or asks another machine for anything, fails its test."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HERE = ("127.0.0.1", "localhost")
NO_NETWORK = ("file", "data", "blob", "about")
HEIGHT = 900

OpenPage = Callable[[int], "Page"]  # of a width in pixels
Screenshot = Callable[["Page", str], Path]


@pytest.fixture(scope="package")
def browser() -> "Iterator[Browser]":
    """The system's Chromium, one for all tests here; never skipped where the variable CI is set."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing(f"no Chromium on this machine: none of {', '.join(PROGRAMS)}")
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=program, args=list(FLAGS)) as running,
    ):
        yield running


@pytest.fixture
def watched_page(browser: "Browser") -> Iterator[OpenPage]:
    """Opens empty pages of a width; at the end of the test none has complained or asked another machine."""
    complaints: list[str] = []
    with ExitStack() as contexts:

        def open_page(width: int) -> "Page":
            context = contexts.enter_context(
                browser.new_context(
                    viewport={"width": width, "height": HEIGHT}, service_workers="block"
                )
            )
            page = context.new_page()
            watch(page, complaints)
            return page

        yield open_page
    assert complaints == []


@pytest.fixture
def screenshot(tmp_path: Path) -> Screenshot:
    """Saves a whole page as NAME.png in the test's folder, for people to look at."""

    def save(page: "Page", name: str) -> Path:
        path = tmp_path / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        return path

    return save


def watch(page: "Page", complaints: list[str]) -> None:
    """Write down what a page complains of, and every request that leaves the machine, which is not made."""

    def only_here(route: "Route") -> None:
        if stays_here(route.request.url):
            route.continue_()
        else:
            route.abort()

    def asked(url: str) -> None:
        if not stays_here(url):
            complaints.append(f"asked another machine: {url}")

    def said(kind: str, text: str) -> None:
        if kind == "error":
            complaints.append(f"console: {text}")

    page.context.route("**/*", only_here)
    page.context.on("request", lambda request: asked(request.url))
    page.context.on("console", lambda message: said(message.type, message.text))
    page.on("websocket", lambda socket: asked(socket.url))
    page.context.on("weberror", lambda error: complaints.append(f"error: {error.error}"))


def stays_here(url: str) -> bool:
    """Whether a request is answered by this machine."""
    place = urlsplit(url)
    return place.scheme in NO_NETWORK or place.hostname in HERE

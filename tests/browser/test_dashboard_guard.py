"""What a page of another site, and one whose name leads to this machine, can do with a dashboard that may edit."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blade_tune.report.dashboard import publish
from tests import tiny
from tests.browser.conftest import FLAGS, PROGRAMS
from tests.cli.test_dashboard import free_port, get, names, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 100_000  # its bundle is large, and a machine may have much else to do
REBOUND, EVIL = "rebound.test", "evil.test"  # both lead to this machine
READ = """async url => {
    try { const answer = await fetch(url); return [answer.status, await answer.text()]; }
    catch (error) { return ["failed", String(error)]; }
}"""
SEND = """async ([url, method, type, mode]) => {
    try {
        const headers = type ? {"Content-Type": type} : {};
        const answer = await fetch(url, {method, mode, headers, body: JSON.stringify({study_name: "taken"})});
        return [answer.status, await answer.text()];
    } catch (error) { return ["failed", String(error)]; }
}"""
WRITES = (
    ("DELETE", "/api/studies/1"),
    ("POST", "/api/studies/1/rename"),
    ("PUT", "/api/studies/1/note"),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials, with artifacts."""
    folder = tmp_path_factory.mktemp("guarded") / "results"
    tiny.run(folder, search__trials=2)
    publish(tiny.stored(folder))
    return folder


@pytest.fixture(scope="module")
def port(results: Path) -> Iterator[int]:
    """Where a dashboard that may edit listens."""
    port = free_port()
    with serving(results.parent, port, "--edit"):
        yield port


@pytest.fixture(scope="module")
def evil() -> Iterator[int]:
    """The port of a server whose pages are empty."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body></body></html>")

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def deceived(browser: "Browser") -> Iterator["Browser"]:
    """A browser for which names of others lead to this machine."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    rules = ", ".join(f"MAP {name} 127.0.0.1" for name in (REBOUND, EVIL))
    with browser.browser_type.launch(
        executable_path=program, args=[*FLAGS, f"--host-resolver-rules={rules}"]
    ) as found:
        yield found


@pytest.fixture
def page(deceived: "Browser") -> Iterator["Page"]:
    """An empty page."""
    with deceived.new_context() as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()


@pytest.fixture(autouse=True)
def _nothing_changed(port: int) -> Iterator[None]:
    """After each test the study is there, under its name."""
    yield
    assert names(port) == ["tiny"]


def artifact(port: int) -> str:
    study = json.loads(get(port, "/api/studies/1?after=0"))
    return f"/artifacts/1/{study['artifacts'][0]['artifact_id']}"


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", EVIL])
def test_a_page_of_another_site_reads_and_changes_nothing(page, port, evil, target):
    """By fetch, script, frame or form, with and without a preflight, under every name that leads here."""
    page.goto(f"http://{EVIL}:{evil}/")
    base = f"http://{target}:{port}"
    for path in ("/api/studies", "/api/studies/1?after=0", "/csv/1", artifact(port)):
        assert page.evaluate(READ, base + path)[0] == "failed"
        loads = "([tag, url]) => new Promise(done => { const e = document.createElement(tag); e.src = url; "
        loads += "e.onload = () => done('loaded'); e.onerror = () => done('failed'); document.body.append(e); })"
        assert page.evaluate(loads, ["script", base + path]) == "failed"
    for method, path in WRITES:
        for mode, kind in (("cors", "application/json"), ("no-cors", "text/plain")):
            assert page.evaluate(SEND, [base + path, method, kind, mode])[0] in ("failed", 0)
    page.evaluate(
        "url => { document.body.innerHTML = `<iframe src='${url}'></iframe>`; }",
        f"{base}/dashboard/",
    )
    page.wait_for_timeout(500)
    assert all("optuna" not in frame.content().lower() for frame in page.frames[1:])
    page.goto(f"http://{EVIL}:{evil}/")
    form = "url => { document.body.innerHTML = `<form method=post action='${url}'><input name=study_name></form>`; "
    with page.expect_navigation():
        page.evaluate(form + "document.forms[0].submit(); }", f"{base}/api/studies/1/rename")
    assert "does not answer" in page.inner_text("body") or "was asked as" in page.inner_text("body")


def test_under_a_rebound_name_nothing_is_read_or_changed(page, port):
    """A page whose own name leads here is of one origin with what it asks, and is refused by that name."""
    base = f"http://{REBOUND}:{port}"
    for path in ("/", "/dashboard/", "/dashboard/studies/1"):
        answer = page.goto(base + path)
        assert answer.status == 403
        assert f"was asked as '{REBOUND}'" in page.inner_text("body")
    for path in (
        "/api/studies",
        "/api/studies/1?after=0",
        "/csv/1",
        artifact(port),
        "/static/bundle.js",
    ):
        status, text = page.evaluate(READ, base + path)
        assert (status, "tiny" in text) == (403, False)
    for method, path in WRITES:
        assert (
            page.evaluate(SEND, [base + path, method, "application/json", "same-origin"])[0] == 403
        )


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_pages_read_and_write(page, port, name):
    """Under its own names the page is drawn, and may change a note."""
    page.goto(f"http://{name}:{port}/dashboard/studies/1/note")
    page.get_by_role("row").filter(has_text="Best trial").wait_for()
    before = json.loads(get(port, "/api/studies/1?after=0"))["note"]
    note = {"body": f"{before['body']}\nby {name}", "version": 1 + before["version"]}
    send = "async ([url, body]) => (await fetch(url, {method: 'PUT', headers: {'Content-Type': 'application/json'}, "
    send += "body: JSON.stringify(body)})).status"
    assert page.evaluate(send, ["/api/studies/1/note", note]) == 204
    assert json.loads(get(port, "/api/studies/1?after=0"))["note"]["body"] == note["body"]


def test_an_artifact_is_a_download_that_runs_nothing(page, port):
    """Opened as a page of its own it is saved, not shown; a script in it would have no rights."""
    page.goto(f"http://127.0.0.1:{port}/dashboard/")
    with page.expect_download() as download:
        page.evaluate("url => { location.href = url; }", artifact(port))
    assert download.value.path().read_bytes()

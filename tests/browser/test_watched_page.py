"""The fixtures themselves: what they let pass, and what they hold against a page."""

import pytest

from tests.browser.conftest import watch

GOOD = "<title>good</title><svg width=9 height=9></svg>"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_quiet_page_passes(watched_page, screenshot, tmp_path, width):
    """A page of a file that asks nobody has the width it was opened with, and a screenshot of it is a file."""
    (tmp_path / "page.html").write_text(GOOD)
    page = watched_page(width)
    page.goto((tmp_path / "page.html").as_uri())
    assert (page.title(), page.evaluate("innerWidth")) == ("good", width)
    assert screenshot(page, "good").stat().st_size > 0


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>console.error('oh no')</script>", "console: oh no"),
        ("<script>throw new Error('oh no')</script>", "error: oh no"),
        ("<img src='http://192.0.2.1/x.png'>", "asked another machine: http://192.0.2.1/x.png"),
        (
            "<script>new WebSocket('ws://192.0.2.1/x')</script>",
            "asked another machine: ws://192.0.2.1/x",
        ),
    ],
)
def test_complaints_and_requests_to_other_machines_are_written_down(
    browser, tmp_path, body, complaint
):
    """An error of the console, one that nobody caught and a request that would leave the machine are all seen."""
    (tmp_path / "page.html").write_text(body)
    complaints: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        watch(page, complaints)
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_timeout(100)
    assert complaint in complaints

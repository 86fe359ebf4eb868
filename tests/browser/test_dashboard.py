"""The dashboard in a browser: a study that was really run, at the width of a desk and of a phone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from blade_tune.report import readable
from blade_tune.report.dashboard import publish
from tests import tiny
from tests.cli.test_dashboard import ask, free_port, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS = pytest.mark.parametrize("width", [1280, 390])
FIGURES = ("learning-curves", "expected-best", "cost")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six trials, with what the end of a run publishes."""
    folder = tmp_path_factory.mktemp("shown") / "results"
    tiny.run(folder, search__trials=6, train__max_epochs=4)
    publish(tiny.stored(folder))
    return folder


@pytest.fixture(scope="module")
def port(results: Path) -> Iterator[int]:
    """Where the dashboard listens."""
    port = free_port()
    with serving(results.parent, port):
        yield port


def open_view(page: "Page", port: int, view: str = "") -> None:
    """Open a page of the study, all that it asks for being there."""
    page.goto(f"http://127.0.0.1:{port}/dashboard/studies/1{view}")
    page.wait_for_load_state("networkidle")


def open_table(page: "Page", name: str) -> list[list[str]]:
    """Open a CSV file in the dashboard's own table; gives its cells."""
    card = page.locator(".MuiCard-root", has_text=name).last
    card.get_by_label("show artifact table").click()
    table = page.locator(".MuiModal-root table")
    table.wait_for()
    return [row.locator("th,td").all_inner_texts() for row in table.locator("tr").all()]


@WIDTHS
def test_a_study_s_page_has_figures_and_a_leaderboard(
    watched_page, screenshot, port, results, width
):
    """Optuna's figures and ours are drawn, curves once and importances of six trials not at all; a table opens."""
    page = watched_page(width)
    open_view(page, port)
    ours = [f"user-defined-plot:{name}" for name in FIGURES]
    for name in ("plot-history", *ours):
        page.locator(f"[id='{name}'] .main-svg").first.wait_for()
    assert page.locator("#graph-intermediate-values").count() == 0
    assert not page.locator("#graph-hyperparameter-importances").is_visible()
    assert page.locator("[id='plot-history'] .ytitle").text_content() == "valid NDCG@10"
    for name in FIGURES:
        heading = page.locator(f"[id='user-defined-plot:{name}'] .gtitle").text_content()
        assert heading.startswith(name.capitalize().replace("-", " "))
    screenshot(page, f"study-{width}")
    (header, first, *_) = open_table(page, "leaderboard.csv")
    best = tiny.stored(results).study.best_trial
    cells = dict(zip((name.split("\n")[0] for name in header), first, strict=True))
    assert (cells["rank"], cells["trial"], float(cells["value"])) == (
        "1",
        str(best.number),
        best.value,
    )
    screenshot(page, f"leaderboard-{width}")


@WIDTHS
def test_the_note_is_a_table(watched_page, screenshot, port, width):
    """What the run wrote about the study is rendered, not shown as source."""
    page = watched_page(width)
    open_view(page, port, "/note")
    row = page.get_by_role("row").filter(has_text="Best trial")
    row.wait_for()
    assert re.search(r"\d+: 0\.\d{4} on one seed", row.inner_text())
    assert "| Study |" not in page.inner_text("body")
    screenshot(page, f"note-{width}")


@WIDTHS
def test_a_trial_s_files_are_shown(watched_page, screenshot, port, results, width):
    """Its curve is a picture in the page and a table with a row an epoch; log and configuration can be fetched."""
    page = watched_page(width)
    open_view(page, port, "/trials?numbers=2")
    picture = page.get_by_alt_text("curve.svg")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    for name in ("config.yaml", "train.log"):
        link = page.locator(".MuiCard-root", has_text=name).last.get_by_label("download artifact")
        with page.expect_download() as download:
            link.click()
        assert (
            download.value.path().read_bytes()
            == (results / "tiny" / "trials" / "2" / name).read_bytes()
        )
    screenshot(page, f"trial-{width}")
    header, *rows = open_table(page, "curve.csv")
    assert header[0].startswith("epoch")
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    screenshot(page, f"curve-{width}")


@pytest.mark.parametrize("view", ["", "/note", "/trials?numbers=2"])
def test_pages_have_no_dead_buttons(watched_page, port, view):
    """Nothing that would change something can be seen, and the page says how to get what can."""
    page = watched_page(1280)
    open_view(page, port, view)
    page.get_by_role("note").wait_for()
    assert "blade-tune dashboard --edit" in page.get_by_role("note").inner_text()
    for icon in readable.ICONS:
        for button in page.locator(f"button:has([data-testid={icon}Icon])").all():
            assert not button.is_visible()


def test_a_trial_s_page_has_words_in_place_of_json(watched_page, port, results):
    """The note on the best one, attributes by their names, and nothing so long that the page scrolls sideways."""
    page = watched_page(1280)
    best = tiny.stored(results).study.best_trial
    open_view(page, port, f"/trials?numbers={best.number}")
    page.get_by_text("The best of the search").wait_for()
    text = page.inner_text("body")
    assert f"best epoch {best.user_attrs['best_epoch']}" in text
    assert not any(name in text for name in ("clock", "sha256", '{"'))
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_a_page_cannot_change_the_study(port):
    """What a page would send to change something is refused."""
    assert ask(port, "POST", "/api/studies/1/rename", {"study_name": "other"})[0] == 403

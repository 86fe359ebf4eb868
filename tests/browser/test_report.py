"""The report in a browser: every figure is drawn, on a desk and on a phone, without a network."""

from pathlib import Path

import pytest

from blade_tune.report import section
from blade_tune.report.page import write_report
from tests.report import made_up

DRAWN = """() => [...document.querySelectorAll('.plot')].map(place => ({
    traces: (place.data || []).length,
    shapes: place.querySelectorAll('svg .trace, svg .parcoords, svg .axis').length,
    width: place.querySelector('svg')?.getBoundingClientRect().width || 0,
}))"""


def assert_all_drawn(page, number: int, width: int) -> None:
    """A page has so many figures, each with its traces and a shape for them, and does not scroll sideways."""
    page.wait_for_function(f"document.querySelectorAll('.plot .main-svg').length >= {number}")
    drawn = page.evaluate(DRAWN)
    assert len(drawn) == number
    assert all(figure["traces"] and figure["shapes"] and figure["width"] > 250 for figure in drawn)
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all of its parts."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        study = made_up.study(folder)
        patch.setattr(section, "load_confirmation", lambda _: made_up.confirmation(study))
        return write_report(study, folder / "out")[0]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_drawn(watched_page, screenshot, report, width):
    """Each has its traces and a shape for them; the page itself never scrolls sideways."""
    page = watched_page(width)
    page.goto(report.as_uri())
    assert_all_drawn(page, 9, width)
    assert screenshot(page, f"report-{width}").stat().st_size > 50_000


@pytest.mark.parametrize("width", [1280, 390])
def test_learning_curves_have_epochs_and_seconds(watched_page, report, width):
    """Two figures, each with its axis named within it; a baseline is a line that is drawn and named in the legend."""
    page = watched_page(width)
    page.goto(report.as_uri())
    for part, axis in (
        ("learning-curves", "epoch"),
        ("learning-curves-over-time", "seconds of training"),
    ):
        plot = page.locator(f"section[aria-labelledby='{part}'] .plot")
        plot.locator(".xtitle").wait_for()
        assert plot.locator(".xtitle").text_content() == axis
        assert "item_knn, untuned (0.1000)" in plot.locator(".legendtext").all_text_contents()
        edges = [
            element.bounding_box()
            for element in (plot, plot.locator(".xtitle"), plot.locator(".legend"))
        ]
        (left, right), *inner = [(box["x"], box["x"] + box["width"]) for box in edges if box]
        assert all(left <= low and high <= right for low, high in inner)


def test_the_page_is_legible_in_the_dark(browser, report):
    """With a dark scheme its paper is dark and its ink light, while figures keep their white ground."""
    with browser.new_context(color_scheme="dark") as context:
        page = context.new_page()
        page.goto(report.as_uri())
        look = "selector => getComputedStyle(document.querySelector(selector)).backgroundColor"
        assert page.evaluate(look, "body") == "rgb(20, 23, 29)"
        assert page.evaluate(look, ".plot") == "rgb(255, 255, 255)"


def test_the_tables_need_no_script(browser, report):
    """Without JavaScript every table is there, and the page says what is missing."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        assert page.locator("table").count() >= 5
        assert page.locator("noscript p").is_visible()

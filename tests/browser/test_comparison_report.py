"""The page of a comparison of fifteen models in a browser: every figure is drawn, on a desk and on a phone."""

from pathlib import Path

import pytest

from blade_tune.report.comparison_page import write_comparison_report
from tests.browser.test_report import assert_all_drawn, assert_fits_a4, assert_is_a4
from tests.report import made_comparison, made_up

CUT_OFF = """plot => {
    const place = plot.getBoundingClientRect();
    return [...plot.querySelectorAll('.ytick text, .annotation-text, .xtitle, .legendtext')]
        .filter(text => {
            const {left, right} = text.getBoundingClientRect();
            return left < place.left || right > place.right;
        })
        .map(text => text.textContent);
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all of its parts."""
    folder = tmp_path_factory.mktemp("comparison")
    made = made_comparison.comparison(made_up.study(folder))
    return write_comparison_report(made, folder / "out")[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_of_a_comparison_is_drawn(watched_page, screenshot, report, width):
    """Each has its traces and a shape for them; the page itself never scrolls sideways."""
    page = watched_page(width)
    page.goto(report.as_uri())
    assert_all_drawn(page, 10, width)
    assert screenshot(page, f"comparison-{width}").stat().st_size > 50_000


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("part", ["overview", "differences", "groups-of-users"])
def test_the_names_of_models_and_baselines_lie_within_their_figure(
    watched_page, report, width, part
):
    """All fifteen are named, or fourteen beside the one that they are compared with, and none is cut off."""
    page = watched_page(width)
    page.goto(report.as_uri())
    plot = page.locator(f"section[aria-labelledby='{part}'] .plot")
    plot.locator(".xtitle").wait_for()
    assert plot.locator(".ytick").count() == (14 if part == "differences" else 15)
    assert plot.evaluate(CUT_OFF) == []


def test_a_printed_comparison_has_nothing_cut(watched_page, report):
    """Tables of a dozen columns, fifteen configurations side by side, and texts to copy, all on A4."""
    page = watched_page(1280)
    page.goto(report.as_uri())
    assert_all_drawn(page, 10, 1280)
    assert_fits_a4(page)
    assert_is_a4(page.pdf(prefer_css_page_size=True))

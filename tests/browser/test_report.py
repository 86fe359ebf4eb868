"""The report in a browser: every figure is drawn, on a desk and on a phone, without a network."""

import re
from pathlib import Path

import pytest

from blade_tune.report import section, theme
from blade_tune.report.page import write_report
from tests.report import made_up

PAPER_WIDTH = 703  # pixels between the margins of A4, as page.js has it
CUT_OFF_ON_PAPER = """width => [...document.querySelectorAll('table, pre, p, dl, .plot, .plot svg text, th, td')]
    .filter(part => part.checkVisibility() && !part.closest('.talk, noscript'))
    .filter(part => part.textContent.trim() && part.getBoundingClientRect().right > width + 0.5)
    .map(part => part.textContent.slice(0, 40))"""
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


def test_figures_follow_the_scheme_of_the_reader(watched_page, report):
    """Paper, ink and figures are dark on a dark screen, also where that changes while the page is open."""
    page = watched_page(1280)
    page.goto(report.as_uri())
    look = "selector => getComputedStyle(document.querySelector(selector)).backgroundColor"
    for scheme, paper, plot in (
        ("light", "rgb(246, 247, 249)", theme.PAPER),
        ("dark", "rgb(20, 23, 29)", theme.DARK[theme.PAPER]),
        ("light", "rgb(246, 247, 249)", theme.PAPER),
    ):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            "color => document.querySelector('.plot')._fullLayout?.paper_bgcolor === color",
            arg=plot,
        )
        assert page.evaluate(look, "body") == paper
        papers = "[...document.querySelectorAll('.plot')].map(p => p._fullLayout.paper_bgcolor)"
        assert set(page.evaluate(papers)) == {plot}


def assert_fits_a4(page) -> None:
    """On paper nothing is wider than the page, nothing is folded, and figures are light whatever the screen is."""
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": PAPER_WIDTH, "height": 1000})
    page.wait_for_function(
        "width => [...document.querySelectorAll('.plot')].every(p => p._fullLayout?.width === width)",
        arg=PAPER_WIDTH,
    )
    assert page.evaluate(CUT_OFF_ON_PAPER, PAPER_WIDTH) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PAPER_WIDTH
    assert page.locator("details:not([open])").count() == 0
    papers = "[...document.querySelectorAll('.plot')].map(p => p._fullLayout.paper_bgcolor)"
    assert set(page.evaluate(papers)) == {theme.PAPER}


def assert_is_a4(pdf: bytes) -> None:
    """Every page of a printed file is an upright A4."""
    boxes = re.findall(rb"/MediaBox \[([^\]]+)\]", pdf)
    assert boxes
    for box in boxes:
        left, bottom, right, top = map(float, box.split())
        assert (right - left, top - bottom) == pytest.approx((595, 842), abs=1)


def test_a_printed_page_has_nothing_cut(watched_page, report):
    """And back on the screen it is as it was: folded, and as wide as the screen."""
    page = watched_page(1280)
    page.goto(report.as_uri())
    assert_all_drawn(page, 9, 1280)
    assert page.locator("details:not([open])").count() > 0
    assert_fits_a4(page)
    page.emulate_media(media="screen", color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function(
        "document.querySelector('.plot svg').getBoundingClientRect().width > 1000"
    )
    assert page.locator("details[open]").count() == 0
    assert_is_a4(page.pdf(prefer_css_page_size=True))


def test_figures_of_panels_fit_a_phone(watched_page, report):
    """They stand in two columns there, each within the figure; only the lines through all parameters scroll."""
    page = watched_page(390)
    page.goto(report.as_uri())
    assert_all_drawn(page, 9, 390)
    wide = "[...document.querySelectorAll('.plot')].filter(p => p.offsetWidth > innerWidth).length"
    assert page.evaluate(wide) == 1
    slices = page.locator("section[aria-labelledby='slices'] .plot")
    edges = "plot => [...plot.querySelectorAll('.xtitle, .ytick text')].map(t => t.getBoundingClientRect().right)"
    assert max(slices.evaluate(edges)) <= 390
    domains = "plot => [plot._fullLayout.xaxis.domain, plot._fullLayout.xaxis3.domain]"
    first, third = slices.evaluate(domains)
    assert first == third  # the third panel stands below the first
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function(
        "document.querySelector(\"section[aria-labelledby='slices'] .plot\")._fullLayout.xaxis3.domain[1] === 1"
    )
    inner = slices.evaluate("plot => plot._fullLayout._size.w / plot.clientWidth")
    assert inner > 0.8  # what the color bar had taken on the phone is given back


@pytest.mark.parametrize("width", [1280, 390])
def test_the_overview_for_a_talk_stands_alone(watched_page, screenshot, report, width):
    """At its address there is one figure, 16 by 9, as large as the screen, and a way back."""
    page = watched_page(width)
    page.goto(report.as_uri())
    page.get_by_role("link", name="The overview, for a talk").click()
    stage = page.locator(".stage")
    stage.locator(".main-svg").first.wait_for()
    box = stage.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(16 / 9, rel=0.02)
    assert box["width"] == pytest.approx(min(width, 900 * 16 / 9), rel=0.01)
    assert page.evaluate("document.elementFromPoint(5, 5).closest('.talk') !== null")
    screenshot(page, f"talk-{width}")
    page.get_by_label("Back to the report").click()
    assert not stage.is_visible()


def test_the_tables_need_no_script(browser, report):
    """Without JavaScript every table is there, and the page says what is missing."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        assert page.locator("table").count() >= 5
        assert page.locator("noscript p").is_visible()

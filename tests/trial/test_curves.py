"""The chart of a training's curve."""

import math
from collections.abc import Iterator
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from blade_tune.trial.curves import HEIGHT, WIDTH, as_csv, curve_svg

ROWS = [
    {"epoch": 1, "loss.next": 0.5, "loss.contrastive": 0.25},
    {"epoch": 2, "loss.next": 0.25, "loss.contrastive": 0.25, "ndcg@10": 0.1},
    {"epoch": 4, "loss.next": 0.125, "loss.contrastive": 0.125, "ndcg@10": 0.2},
]


def elements(svg: str, tag: str) -> Iterator[ElementTree.Element]:
    return ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}")  # noqa: S314 - our own


def texts(svg: str) -> list[str | None]:
    return [element.text for element in elements(svg, "text")]


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each line."""
    found = [element.attrib["points"].split() for element in elements(svg, "polyline")]
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in points)]
        for points in found
    ]


def test_the_metric_and_the_sum_of_losses_are_lines_over_epochs():
    """The loss has a point an epoch and the metric one an evaluation; higher is higher, and axes say what they are."""
    svg = curve_svg(ROWS, "ndcg@10")
    loss, metric = lines(svg)
    assert [x for x, _ in metric] == [x for x, _ in loss][1:]
    assert loss[0][1] < loss[1][1] < loss[2][1]
    assert metric[0][1] > metric[1][1]
    assert {"epoch", "loss", "ndcg@10", "0", "2", "4", "0.75", "0.25", "0.1", "0.2"} <= set(
        texts(svg)
    )


def test_text_is_escaped():
    """A name with characters of XML is shown as it is."""
    assert "<a&b>" in texts(curve_svg(ROWS, "<a&b>"))


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(st.tuples(numbers, st.none() | numbers), max_size=5))
def test_any_curve_is_a_chart_within_its_frame(values):
    """Of no epoch, of one, of equal values or of such as are no numbers: well-formed, and no point lies outside."""
    rows = [
        {"epoch": epoch, "loss.next": loss, **({} if metric is None else {"m": metric})}
        for epoch, (loss, metric) in enumerate(values, start=1)
    ]
    shown = lines(curve_svg(rows, "m"))
    assert sum(map(len, shown)) == sum(
        math.isfinite(value) for pair in values for value in pair if value is not None
    )
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for points in shown for x, y in points)


def test_a_long_curve_is_a_small_file():
    """A thousand epochs take less than the CSV of them."""
    rows = [
        {"epoch": epoch, "loss.next": 1 / epoch, "ndcg@10": 1 - 1 / epoch}
        for epoch in range(1, 1001)
    ]
    assert len(curve_svg(rows, "ndcg@10")) < len(as_csv(rows))

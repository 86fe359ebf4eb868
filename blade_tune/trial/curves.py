"""Learning curves of a trial: one row per epoch read from its metrics file, and its output as CSV or as an SVG chart.

The chart is plain SVG text built here, without a plotting library, so that a worker can draw it at the end of a trial.
"""

import csv
import io
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from blade_tune.data.cells import cell
from blade_tune.errors import DamagedFileError
from blade_tune.printable import printable
from blade_tune.storage.folder import TrialFolder
from blade_tune.trial.files import read_epochs

log = logging.getLogger(__name__)

WIDTH, HEIGHT = 480, 270  # size of the chart, in pixels
LEFT, RIGHT, TOP, BOTTOM = 70, 410, 15, 220  # edges of the plot area inside the chart, in pixels
DOTS = 60  # a line of more points is drawn without a dot at each
BLUE, ORANGE = "#1f5fa8", "#b3500e"

Point = tuple[float, float]


def curve_rows(folder: TrialFolder) -> list[dict[str, Any]]:
    """Return the epochs of a trial as flat rows, in order of epochs.

    A damaged metrics file is logged as a warning and treated as an empty one.

    Returns:
        One mapping per epoch: `epoch`, a column `loss.NAME` for each loss, a column for each metric where the epoch was
        evaluated, then the other fields of `EpochRecord`. Empty before the trial's first evaluation.
    """
    try:
        return [_row(record) for record in read_epochs(folder)]
    except DamagedFileError as error:
        log.warning(
            "%s Its epochs are left out; what the database has of the trial is whole.", error
        )
        return []


def _row(record: dict[str, Any]) -> dict[str, Any]:
    # Figures come first, and what is left of the record behind them.
    rest = dict(record)
    epoch = rest.pop("epoch")
    losses = {f"loss.{name}": value for name, value in rest.pop("losses").items()}
    metrics = rest.pop("metrics")
    return {"epoch": epoch, **losses, **metrics, **rest}


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV text, under the union of their columns in order of first appearance.

    None and a missing column become empty fields. Text is escaped so that a spreadsheet does not run it as a formula
    (`data.cells`).
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(cell, columns))
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return buffer.getvalue()


def curve_svg(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Return an SVG chart of epoch rows: the metric on the left axis, the sum of the losses on the right axis.

    Values that are not finite are left out.

    Args:
        rows: epochs as `curve_rows` returns them.
        metric: name of the column that the left axis shows.
    """
    losses = _finite((row["epoch"], _sum_of_losses(row)) for row in rows)
    figures = _finite((row["epoch"], row[metric]) for row in rows if metric in row)
    last = max((row["epoch"] for row in rows), default=1)
    epochs = _Axis(0, last, LEFT, RIGHT)
    middle = (TOP + BOTTOM) / 2

    # A white background, which a page of any color needs, and the frame of the plot area.
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}V{TOP}" fill="none" stroke="#999"/>',
    ]

    # The axis of epochs.
    for epoch in sorted({0, last // 2, last}):
        elements.append(_text(epochs.at(epoch), BOTTOM + 18, f"{epoch}"))
    elements.append(_text((LEFT + RIGHT) / 2, BOTTOM + 40, "epoch"))

    # The two curves, each with its axis.
    elements += _series(losses, epochs, ORANGE, RIGHT + 6, "start")
    elements.append(_text(WIDTH - 10, middle, "loss", ORANGE, turned=True))
    elements += _series(figures, epochs, BLUE, LEFT - 6, "end")
    elements.append(_text(16, middle, metric, BLUE, turned=True))
    return "\n".join([*elements, "</svg>\n"])


def _sum_of_losses(row: Mapping[str, Any]) -> float:
    return sum(value for name, value in row.items() if name.startswith("loss."))


@dataclass(frozen=True)
class _Axis:
    """A linear map from values to pixels."""

    low: float  # the value at `start`
    high: float  # the value at `end`
    start: float  # pixels
    end: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Axis":
        """Return a vertical axis from the lowest to the highest value, or centered on a value if there is only one."""
        low, high = min(values), max(values)
        room = 0.0 if low < high else abs(low) / 2 or 0.5
        return cls(low - room, high + room, BOTTOM, TOP)

    def at(self, value: float) -> float:
        """Return the pixel of a value, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def _finite(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point[1])]


def _series(
    points: Sequence[Point], epochs: _Axis, color: str, edge: float, anchor: str
) -> list[str]:
    """Return the SVG elements of one curve: a line, a dot at each point if there are few, and three axis labels."""
    if not points:
        return []
    axis = _Axis.of([value for _, value in points])

    # The line, and its dots.
    pixels = [(epochs.at(epoch), axis.at(value)) for epoch, value in points]
    line = " ".join(f"{x},{y}" for x, y in pixels)
    elements = [f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>']
    if len(pixels) <= DOTS:
        elements += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{color}"/>' for x, y in pixels]

    # The labels of the axis.
    for tick in (axis.low, (axis.low + axis.high) / 2, axis.high):
        elements.append(_text(edge, axis.at(tick) + 4, f"{tick:.4g}", color, anchor))
    return elements


def _text(
    x: float,
    y: float,
    text: str,
    color: str = "#333",
    anchor: str = "middle",
    *,
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    attributes = f'x="{x}" y="{y}" fill="{color}" text-anchor="{anchor}"{turn}'
    return f"<text {attributes}>{escape(printable(text))}</text>"

"""The curve of a training: a row an epoch from its metrics file, as CSV, and as a small chart."""

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

WIDTH, HEIGHT = 480, 270  # of the chart, in pixels
LEFT, RIGHT, TOP, BOTTOM = 70, 410, 15, 220  # of the plot in it
DOTS = 60  # at most on a line
BLUE, ORANGE = "#1f5fa8", "#b3500e"

Point = tuple[float, float]


def curve_rows(folder: TrialFolder) -> list[dict[str, Any]]:
    """A row an epoch of a trial: losses, metrics where evaluated, learning rate, seconds; none before the first.

    Those of a damaged file are left out, with a warning.
    """
    try:
        return [_row(record) for record in read_epochs(folder)]
    except DamagedFileError as error:
        log.warning("%s Its epochs are left out; what the database has of the trial is whole.", error)
        return []


def _row(record: dict[str, Any]) -> dict[str, Any]:
    losses = {f"loss.{name}": value for name, value in record.pop("losses").items()}
    return {"epoch": record.pop("epoch"), **losses, **record.pop("metrics"), **record}


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV under the union of their columns, in order of first appearance; None is an empty field.

    No text is a formula to a spreadsheet (`data.cells`).
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(cell, columns))
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return buffer.getvalue()


def curve_svg(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """A chart of epoch rows: the metric by epoch on the left axis, the sum of the losses on the right one."""
    losses = [(row["epoch"], sum(value for name, value in row.items() if name.startswith("loss."))) for row in rows]
    last = max((row["epoch"] for row in rows), default=1)
    epochs = _Axis(0, last, LEFT, RIGHT)
    middle = (TOP + BOTTOM) / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',  # a page of any color shows it on white
            f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}V{TOP}" fill="none" stroke="#999"/>',
            *(_text(epochs.at(epoch), BOTTOM + 18, f"{epoch}") for epoch in sorted({0, last // 2, last})),
            _text((LEFT + RIGHT) / 2, BOTTOM + 40, "epoch"),
            *_series(_finite(losses), epochs, ORANGE, RIGHT + 6, "start"),
            _text(WIDTH - 10, middle, "loss", ORANGE, turned=True),
            *_series(
                _finite((row["epoch"], row[metric]) for row in rows if metric in row), epochs, BLUE, LEFT - 6, "end"
            ),
            _text(16, middle, metric, BLUE, turned=True),
            "</svg>\n",
        ]
    )


@dataclass(frozen=True)
class _Axis:
    """Where values lie on a line of pixels."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Axis":
        """An upright one from the lowest to the highest; around a value that is alone."""
        low, high = min(values), max(values)
        room = 0.0 if low < high else abs(low) / 2 or 0.5
        return cls(low - room, high + room, BOTTOM, TOP)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def _finite(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point[1])]


def _series(points: Sequence[Point], epochs: _Axis, color: str, edge: float, anchor: str) -> list[str]:
    """A line, with a dot a point where they are few, and three figures at its edge of the plot."""
    if not points:
        return []
    axis = _Axis.of([value for _, value in points])
    places = [(epochs.at(epoch), axis.at(value)) for epoch, value in points]
    line = " ".join(f"{x},{y}" for x, y in places)
    ticks = (axis.low, (axis.low + axis.high) / 2, axis.high)
    return [
        f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>',
        *(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{color}"/>' for x, y in places if len(places) <= DOTS),
        *(_text(edge, axis.at(tick) + 4, f"{tick:.4g}", color, anchor) for tick in ticks),
    ]


def _text(x: float, y: float, text: str, color: str = "#333", anchor: str = "middle", *, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    return f'<text x="{x}" y="{y}" fill="{color}" text-anchor="{anchor}"{turn}>{escape(printable(text))}</text>'

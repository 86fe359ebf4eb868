"""Common look of all figures: a template, colors that color-blind people can tell apart, and helpers for axes."""

import html
import math
import textwrap
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sequential

from blade_tune.printable import printable

# Colors of Okabe and Ito 2008
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GRAY = "#8a8f98"
# A scale that reads the same with and without color blindness; the highest value stands out most
SCALE, DARK_SCALE = sequential.Viridis_r, sequential.Viridis
INK, SOFT, GRID, PAPER = "#1f2430", "#5b6270", "#e6e8ec", "#ffffff"
BASELINE_DASHES = ("dot", "dashdot", "dash")  # of untuned baselines, one after the other
BEHIND = "#cdd1d8"  # lines of others, behind those that a panel is about
# Color on a light page -> color on a dark one; no dark one is a light one too, so that replacing is safe
DARK = {
    PAPER: "#1e222b",
    INK: "#e8eaf0",
    SOFT: "#a5acba",
    GRID: "#343a46",
    BEHIND: "#4a515f",
    BLUE: "#2b8fd6",
    SKY: "#8fd0f5",
    VERMILION: "#f0793a",
}
NOTE_WIDTH = 46  # characters; longer lines would be cut on a phone
AXIS = {
    "gridcolor": GRID,
    "linecolor": GRAY,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 8},
}
TEMPLATE = go.layout.Template(
    layout={
        "autosize": True,
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "size": 13,
            "color": INK,
        },
        "title": {
            "font": {"size": 13},
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "pad": {"l": 12, "t": 10},
        },
        "colorway": [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GRAY],
        "colorscale": {"sequential": SCALE},
        "coloraxis": {"colorscale": SCALE},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 8, "r": 12, "t": 24, "b": 8},
        "xaxis": AXIS,
        "yaxis": AXIS,
        "legend": {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"},
        "hoverlabel": {"bgcolor": PAPER, "font": {"color": INK}},
    }
)


def dark_template() -> go.layout.Template:
    """Return the template for a dark page."""
    text = TEMPLATE.to_plotly_json()
    layout = _recolored(text["layout"])
    scale = [[index / (len(DARK_SCALE) - 1), color] for index, color in enumerate(DARK_SCALE)]
    layout |= {"colorscale": {"sequential": scale}, "coloraxis": {"colorscale": scale}}
    return go.layout.Template(layout=layout)


def _recolored(value: Any) -> Any:
    """Return plain data in which each color of a light page is that of a dark one."""
    if isinstance(value, dict):
        return {name: _recolored(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_recolored(each) for each in value]
    return DARK.get(value, value) if isinstance(value, str) else value


def figure(note: str = "", height: int = 400, **layout: Any) -> go.Figure:
    """Return an empty figure in the common template.

    Args:
        note: text to show above the figure; it is wrapped.
        height: height in pixels.
        layout: further settings of plotly's layout.
    """
    settings: dict[str, Any] = {"template": TEMPLATE, "height": height}
    lines = textwrap.wrap(note, NOTE_WIDTH)
    if lines:
        settings["title"] = {"text": "<br>".join(lines)}
        settings["margin"] = {"t": 24 + 17 * len(lines)}
    return go.Figure(layout={**settings, **layout})


def grid(panels: int, columns: int, *, row: int, gap: int, **facts: Any) -> dict[str, Any]:
    """Return what a page has to know of a figure of panels to draw it in fewer columns, for `layout.meta`.

    Args:
        panels: number of panels, row by row.
        columns: number of columns.
        row: pixels of a row.
        gap: pixels between two rows.
        facts: `shares_x`, whether only the lowest panels have an axis of their own.
    """
    return {"grid": {"panels": panels, "columns": columns, "row": row, "gap": gap, **facts}}


def valid(metric: str) -> str:
    """Return the name of a metric on validation rows: "valid NDCG@10"."""
    return f"valid {metric.upper()}"


def shown(text: object) -> str:
    """Return a value as text that plotly does not take for markup."""
    return html.escape(f"{text:g}" if isinstance(text, float) else printable(str(text)))


def counting(title: str, highest: int) -> dict[str, Any]:
    """Return an axis of whole numbers up to `highest`, which has no ticks at fractions if the range is small."""
    return {"title": title, "dtick": 1} if highest <= 10 else {"title": title}


def log_ticks(low: float, high: float) -> list[float]:
    """Return ticks at round numbers in a range: only powers of ten if it is wide, its ends if it has no two of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if math.log10(high / low) > 2 else (1, 2, 5)
    ticks = [step * 10.0**power for power in powers for step in steps]
    within = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return within if len(within) > 1 else [low, high]


def even_ticks(low: float, high: float) -> list[float]:
    """Return evenly spaced ticks: five, one if the range is a point, or every whole number of a small int range."""
    if low == high:
        return [low]
    has_whole_ends = isinstance(low, int) and isinstance(high, int)
    steps = int(high - low) if has_whole_ends and high - low <= 8 else 4
    return [low + (high - low) * index / steps for index in range(steps + 1)]

"""Figures of a study over its parameters; a function returns None if there is nothing to show."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial
from plotly.subplots import make_subplots

from blade_tune.parameter import Free, Value
from blade_tune.report import numbers, theme
from blade_tune.report.numbers import completed
from blade_tune.study.stored import StoredStudy

COLUMNS = 3  # of slices
EDGE = {"width": 0.5, "color": theme.GRAY}
ABSENT = "absent"  # a conditional parameter in a trial that does without it


def importances(stored: StoredStudy) -> go.Figure | None:
    """Draw the importance of each parameter; None if too few trials have completed to tell."""
    shares = numbers.importances(stored)
    if not shares:
        return None
    names = list(reversed(shares))  # plotly draws the first bar at the bottom
    figure = theme.figure(
        f"PED-ANOVA on {len(completed(stored))} completed trials",
        height=90 + 32 * len(names),
        xaxis={"title": "share of importance", "tickformat": ".0%", "rangemode": "tozero"},
    )
    figure.add_bar(
        x=[shares[name] for name in names],
        y=names,
        orientation="h",
        marker={"color": theme.BLUE},
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    return figure


def slices(stored: StoredStudy) -> go.Figure | None:
    """Draw the value of completed trials over each free parameter; the later a trial, the more it stands out.

    A page may put its plots into fewer columns, for which `layout.meta` has what there is to know.
    """
    trials, free = completed(stored), stored.definition.space.free
    if not trials or not free:
        return None
    rows = math.ceil(len(free) / COLUMNS)
    gaps = {"horizontal_spacing": 0.05, "vertical_spacing": min(0.3, 90 / (240 * rows))}
    meta = theme.grid(len(free), COLUMNS, row=240, gap=90)
    empty = theme.figure(height=60 + 240 * rows, meta=meta)
    figure = make_subplots(rows, COLUMNS, shared_yaxes="all", figure=empty, **gaps)

    # A plot a parameter, row by row, of the trials that have it
    for index, (name, parameter) in enumerate(free.items()):
        cell = {"row": index // COLUMNS + 1, "col": index % COLUMNS + 1}
        having = [trial for trial in trials if name in trial.params]
        x = [stored.values(trial)[name] for trial in having]
        if parameter.choice is not None:
            x = [theme.shown(value) for value in x]
        marker = {
            "color": [trial.number for trial in having],
            "coloraxis": "coloraxis",
            "size": 7,
            "line": EDGE,
        }
        figure.add_scatter(
            x=x,
            y=[trial.value for trial in having],
            mode="markers",
            marker=marker,
            showlegend=False,
            text=[f"trial {trial.number}" for trial in having],
            hovertemplate="%{text}<br>%{x}: %{y:.4f}<extra></extra>",
            **cell,
        )
        figure.update_xaxes(title=name, **_slice_axis(parameter), **cell)

    # The shared axis of values, and the colors of the trials' numbers
    figure.update_yaxes(title=theme.valid(stored.definition.objective.metric), col=1)
    bar = {"title": {"text": "trial"}, "thickness": 12, "outlinewidth": 0}
    return figure.update_layout(coloraxis={"colorbar": bar})


def _slice_axis(parameter: Free) -> dict[str, Any]:
    """Return an axis over a parameter's choices, or over its whole range with a margin."""
    if parameter.choice is not None:
        return {
            "type": "category",
            "categoryarray": [theme.shown(value) for value in parameter.choice],
            "range": [-0.5, len(parameter.choice) - 0.5],
        }
    if not parameter.log:
        low, high = parameter.bounds
        return {"range": _with_margin(low, high)}
    low, high = map(math.log10, parameter.bounds)
    ticks = theme.log_ticks(*parameter.bounds)
    return {"range": _with_margin(low, high), "type": "log", "tickvals": ticks}


def _with_margin(low: float, high: float) -> list[float]:
    margin = 0.05 * (high - low) or 0.5
    return [low - margin, high + margin]


def parallel_coordinates(stored: StoredStudy) -> go.Figure | None:
    """Draw each completed trial as a line through its parameters to its value, with the best ones on top.

    In the browser, dragging along an axis selects trials.
    """
    # The best trials last, for later lines cover earlier ones
    trials = sorted(completed(stored), key=lambda trial: trial.value or 0.0)
    free = stored.definition.space.free
    if not trials or not free:
        return None
    values = [trial.value for trial in trials]
    dimensions = []
    for name, parameter in free.items():
        settings = [_value(stored, trial, name) for trial in trials]
        dimensions.append(_axis(name, parameter, settings))
    dimensions.append({"label": theme.valid(stored.definition.objective.metric), "values": values})
    figure = theme.figure(height=420, margin={"t": 96, "l": 64, "r": 48, "b": 24})
    figure.update_layout(coloraxis={"showscale": False})
    lines = {"color": values, "coloraxis": "coloraxis"}
    fonts = {
        "labelangle": -16,
        "labelfont": {"size": 12},
        "tickfont": {"size": 11},
        "rangefont": {"size": 1, "color": theme.PAPER},
    }
    return figure.add_parcoords(dimensions=dimensions, line=lines, **fonts)


def _value(stored: StoredStudy, trial: FrozenTrial, name: str) -> Value | None:
    return stored.values(trial)[name] if name in trial.params else None


def _axis(name: str, parameter: Free, values: Sequence[Any]) -> dict[str, Any]:
    """Return an axis of parallel coordinates, with a place below its range for trials without the parameter."""
    # Values and ticks -> their positions on the axis
    positions: dict[Any, float]
    ticks: dict[Any, float]
    if parameter.choice is not None:
        positions = {choice: float(index) for index, choice in enumerate(parameter.choice)}
        ticks = dict(positions)
        low, high = 0.0, len(positions) - 1.0
    else:
        scale = math.log10 if parameter.log else float
        lowest, highest = parameter.bounds
        spaced = theme.log_ticks if parameter.log else theme.even_ticks
        positions = {value: scale(value) for value in values if value is not None}
        ticks = {tick: scale(tick) for tick in spaced(lowest, highest)}
        low, high = scale(lowest), scale(highest)

    # Trials without the parameter are below its range
    if None in values:
        low -= max(0.2 * (high - low), 0.5 if parameter.choice else 0.0)
        ticks[ABSENT] = low
        positions[None] = low
    return {
        "label": name,
        "values": [positions[value] for value in values],
        "range": [low, high],
        "tickvals": [*ticks.values()],
        "ticktext": [theme.shown(tick) for tick in ticks],
    }

"""Figures of ablations, sweeps and grids: lines with bands over a numeric parameter, and points for all else."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from blade_tune.parameter import Value
from blade_tune.report import theme
from blade_tune.report.effect_tables import PARTS
from blade_tune.selection.effects import Changes, Effects
from blade_tune.selection.scores import Scores

COLORS = (theme.BLUE, theme.GREEN, theme.PURPLE, theme.SKY, theme.VERMILION, theme.GRAY)
OPACITY = 0.15  # of bands
WIDE = 50.0  # ratio of the highest value to the lowest above 0 from which on values are drawn evenly spaced
WINNER = {"size": 12, "color": theme.ORANGE, "symbol": "star", "line": {"width": 0.5}}


def effect_figure(measured: Effects) -> go.Figure:
    """Draw the winner and each change of it: mean and t-interval over seeds.

    A numeric parameter is the axis of a line with a band, of a grid one line for each combination of the others' values
    (as in BLADE, Figures 3, 5 and 6). A configuration beside a grid is level, for it leaves that parameter as it is.
    """
    axis = _numeric(measured)
    metric = f"{PARTS[measured.part]} {measured.metric.upper()}"
    figure = theme.figure(yaxis_title=metric, height=360 if axis else 320)
    if axis is None:
        return _points(figure, measured)
    return _lines(figure, measured, axis)


def _numeric(measured: Effects) -> str | None:
    """Return the last parameter of a sweep or a grid whose values are numbers, at least two; None if there is none."""
    for name in reversed(measured.parameters):
        values = {each.changes[name] for each in measured.effects if name in each.changes}
        if len(values) > 1 and all(map(_is_number, values)):
            return name
    return None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _points(figure: go.Figure, measured: Effects) -> go.Figure:
    """Draw a point with an error bar for each configuration."""
    all_scores = [measured.base, *(effect.scores for effect in measured.effects)]
    estimates = [scores.estimate(measured.metric) for scores in all_scores]
    title = " x ".join(measured.parameters)
    labels = [scores.label.removeprefix(f"{title}=") for scores in all_scores]
    # Half an interval, 0 where a single seed leaves none
    errors = [(estimate.high or estimate.mean) - estimate.mean for estimate in estimates]
    figure.add_scatter(
        x=[theme.shown(label) for label in labels],
        y=[estimate.mean for estimate in estimates],
        error_y={"array": errors, "thickness": 1.5},
        mode="markers",
        marker={"size": 10, "color": [theme.ORANGE, *[theme.BLUE] * len(measured.effects)]},
        name="mean and 95% interval",
    )
    return figure.update_xaxes(type="category", title=theme.shown(title))


def _lines(figure: go.Figure, measured: Effects, axis: str) -> go.Figure:
    """Draw a line with a band for each combination of the other parameters' values, over one parameter."""
    own = measured.values[axis]
    # Name of a line -> the scores at its points; and those of configurations that are level
    lines: dict[str, dict[Value, Scores]] = {}
    level: dict[str, Scores] = {}
    for effect in measured.effects:
        name = _name(effect.changes, axis)
        if axis in effect.changes:
            lines.setdefault(name, {})[effect.changes[axis]] = effect.scores
        else:
            level[name] = effect.scores
    # Of a sweep the winner is a point of the only line
    if len(measured.parameters) == 1:
        lines[""].setdefault(own, measured.base)
    values = sorted({own, *(value for points in lines.values() for value in points)})
    place = _places(values)

    for index, (name, points) in enumerate(lines.items()):
        ordered = [(value, points[value]) for value in values if value in points]
        x = [place[value] for value, _ in ordered]
        style = _style(name or "mean", COLORS[index % len(COLORS)])
        _band(figure, x, [scores for _, scores in ordered], measured.metric, style)
    for index, (name, scores) in enumerate(level.items(), len(lines)):
        style = _style(name, COLORS[index % len(COLORS)], dash="dash")
        ends = [place[values[0]], place[values[-1]]]
        _band(figure, ends, [scores, scores], measured.metric, style)
    figure.add_scatter(
        x=[place[own]],
        y=[measured.base.estimate(measured.metric).mean],
        mode="markers",
        marker=WINNER,
        name=f"{measured.base.label}, the winner",
    )
    return figure.update_xaxes(
        title=theme.shown(axis),
        tickvals=[*place.values()],
        ticktext=[theme.shown(value) for value in values],
    )


def _name(changes: Changes, axis: str) -> str:
    """Return the name of a line: the values of all parameters but that of the axis, without their groups."""
    others = {name.partition(".")[2]: value for name, value in changes.items() if name != axis}
    return theme.shown(", ".join(f"{name} {value}" for name, value in others.items()))


def _places(values: Sequence[Any]) -> Mapping[Value, float]:
    """Return where values stand on the axis: at themselves, or evenly spaced if they range over magnitudes."""
    positive = [value for value in values if value > 0]
    if positive and positive[-1] >= WIDE * positive[0]:
        return {value: float(index) for index, value in enumerate(values)}
    return {value: float(value) for value in values}


def _style(name: str, color: str, dash: str = "solid") -> dict[str, Any]:
    return {"name": name, "legendgroup": name, "line": {"color": color, "width": 2.5, "dash": dash}}


def _band(
    figure: go.Figure,
    x: Sequence[float],
    all_scores: Sequence[Scores],
    metric: str,
    style: Mapping[str, Any],
) -> None:
    """Add a line through means, and a band of their intervals behind it, which a single seed does not have."""
    estimates = [scores.estimate(metric) for scores in all_scores]
    lows = [estimate.low for estimate in estimates if estimate.low is not None]
    highs = [estimate.high for estimate in estimates if estimate.high is not None]
    if len(lows) == len(estimates) == len(highs):
        red, green, blue = hex_to_rgb(style["line"]["color"])
        figure.add_scatter(
            x=[*x, *reversed(x)],
            y=[*lows, *reversed(highs)],
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=f"rgba({red}, {green}, {blue}, {OPACITY})",
            name=f"{style['name']}, 95% over seeds",
            legendgroup=style["legendgroup"],
            showlegend=False,
            hoverinfo="skip",
        )
    mode = "lines" if style["line"]["dash"] != "solid" else "lines+markers"
    figure.add_scatter(
        x=[*x],
        y=[estimate.mean for estimate in estimates],
        mode=mode,
        hovertemplate="%{x}: %{y:.4f}",
        **style,
    )

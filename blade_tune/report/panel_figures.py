"""Figures with a panel a model, in which all others stand behind in gray: searches, and learning curves of winners."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import plotly.graph_objects as go
from optuna.trial import FrozenTrial
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots

from blade_tune.report import theme
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.saturation import Course
from blade_tune.trial.clock import training_seconds

COLUMNS = 3
PANEL = 150  # pixels of height
GAP = 24  # pixels between two rows
BEHIND = {"color": theme.BEHIND, "width": 1}
OPACITY = 0.2  # of bands

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """What is drawn of one model."""

    label: str
    line: Points
    thin: Sequence[Points] = ()  # the lines of which it is the mean
    band: tuple[Points, Points] = field(default=((), ()))  # the lowest and the highest around it
    baselines: Mapping[str, float] = field(default_factory=dict)  # untuned ones by name


@dataclass(frozen=True)
class Curve:
    """The learning curves of a winner's runs: what they had reached at each epoch that one of them evaluated."""

    label: str
    runs: Sequence[Mapping[int, float]]  # epoch -> figure
    seconds: Sequence[Mapping[int, float]]  # epoch -> seconds of training by then

    @property
    def shared(self) -> list[int]:
        """The epochs that all runs evaluated."""
        return sorted(set.intersection(*(set(run) for run in self.runs)))


def searches(
    courses: Mapping[str, Course], metric: str, baselines: Mapping[str, Mapping[str, float]] = {}
) -> go.Figure | None:
    """Draw the best value of each search so far over the share of what it spent; None before any has two values.

    Args:
        courses: model -> the course of its search.
        metric: name of the metric.
        baselines: model -> name of an untuned baseline -> its figure.
    """
    panels = [Panel(label, _so_far(course)) for label, course in courses.items()]
    panels = [_beside(panel, baselines) for panel in panels if panel.line]
    if all(len(panel.line) < 2 for panel in panels):
        return None
    axis = {"range": [0, 1], "tickvals": [0.25, 0.5, 0.75, 1], "tickformat": ".0%"}
    axis["title"] = "share of what was spent"
    return _figure(panels, axis, f"best {theme.valid(metric)}", {"shape": "hv"})


def _so_far(course: Course) -> Points:
    """Return the share of what was spent and the best value by then, wherever that rose, and at the end."""
    total = course.spent(course.points[-1]) if course.points else 0.0
    line: list[tuple[float, float]] = []
    if not total:
        return line
    for point in course.points:
        if point.best is not None and (not line or point.best > line[-1][1]):
            line.append((round(course.spent(point) / total, 4), point.best))
    if line and line[-1][0] < 1:
        line.append((1.0, line[-1][1]))
    return line


def curve_of(label: str, confirmation: Confirmation) -> Curve:
    """Return the learning curves of a confirmed winner's runs."""
    runs, metric = confirmation.winning_runs, confirmation.metric

    def seconds(run: FrozenTrial) -> Mapping[int, float]:
        return training_seconds(run, confirmation.runs.files(run), metric)

    return Curve(label, [run.intermediate_values for run in runs], [*map(seconds, runs)])


def over_epochs(
    curves: Sequence[Curve], metric: str, baselines: Mapping[str, Mapping[str, float]] = {}
) -> go.Figure | None:
    """Draw a figure over epochs: each run, and their mean and range as far as all were trained; None without any."""

    def epoch(_: Mapping[int, float], epoch: int) -> float:
        return epoch

    panels = [_beside(_curve_panel(curve, epoch), baselines) for curve in curves if curve.shared]
    if not panels:
        return None
    axis = {"rangemode": "tozero", "title": "epoch"}
    return _figure(panels, axis, theme.valid(metric))


def over_seconds(
    curves: Sequence[Curve], metric: str, baselines: Mapping[str, Mapping[str, float]] = {}
) -> go.Figure | None:
    """Draw the same over seconds of training on an axis of magnitudes; None where no seconds are stored."""

    def second(seconds: Mapping[int, float], epoch: int) -> float:
        return seconds.get(epoch, math.nan)

    panels = [
        _beside(_curve_panel(curve, second), baselines)
        for curve in curves
        if curve.shared and all(set(curve.shared) <= set(each) for each in curve.seconds)
    ]
    if not panels:
        return None
    axis = {"type": "log", "dtick": 1, "title": "seconds of training"}
    return _figure(panels, axis, theme.valid(metric))


def _beside(panel: Panel, baselines: Mapping[str, Mapping[str, float]]) -> Panel:
    """Return a panel with the untuned baselines of its model."""
    return replace(panel, baselines=baselines.get(panel.label, {}))


def _curve_panel(curve: Curve, place: Callable[[Mapping[int, float], int], float]) -> Panel:
    """Return the panel of a winner's runs; `place` says where an epoch of a run stands, by the run's seconds."""
    pairs = [*zip(curve.runs, curve.seconds, strict=True)]
    thin = []
    for run, seconds in pairs:
        points = [(place(seconds, epoch), run[epoch]) for epoch in sorted(run)]
        thin.append([(x, y) for x, y in points if not math.isnan(x)])
    # The mean over runs, as far as all of them were trained
    x = [float(np.mean([place(seconds, e) for _, seconds in pairs])) for e in curve.shared]
    values_ES = np.array([[run[epoch] for run, _ in pairs] for epoch in curve.shared])
    means, lows, highs = values_ES.mean(1), values_ES.min(1), values_ES.max(1)
    line, low, high = ([*zip(x, map(float, y), strict=True)] for y in (means, lows, highs))
    return Panel(curve.label, line, thin, (low, high))


def _figure(
    panels: Sequence[Panel], axis: Mapping[str, Any], title: str, line: Mapping[str, Any] = {}
) -> go.Figure:
    """Return the figure of some panels.

    Args:
        panels: the panels.
        axis: settings of the horizontal axis, which stands under the lowest panel of each column.
        title: of the vertical axis, which stands at the left of each row.
        line: settings of lines.
    """
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = make_subplots(
        rows,
        columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[theme.shown(panel.label) for panel in panels],
        horizontal_spacing=0.04,
        vertical_spacing=GAP / (PANEL * rows),
        figure=_empty(len(panels), columns),
    )
    figure.update_annotations(font={"size": 13})
    ends = _ends(panels)
    for index, panel in enumerate(panels):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        others = [other.line for other in panels if other is not panel]
        _add_lines(figure, others, {**BEHIND, **line}, place)
        _add_baselines(figure, panel, ends, place)
        _add_band(figure, panel, place)
        _add_lines(figure, panel.thin, {"color": theme.SKY, "width": 1, **line}, place)
        figure.add_scatter(
            **_drawn([panel.line]),
            mode="lines" if len(panel.line) > 1 else "markers",
            line={"color": theme.BLUE, "width": 2.5, **line},
            hovertemplate="%{x}: %{y:.4f}<extra></extra>",
            showlegend=False,
            **place,
        )
        is_lowest = index + columns >= len(panels)
        own = axis if is_lowest else {**axis, "title": ""}
        figure.update_xaxes(**own, showticklabels=is_lowest, **place)
    for index in range(len(panels), rows * columns):
        place = {"row": rows, "col": index % columns + 1}
        figure.update_xaxes(visible=False, **place).update_yaxes(visible=False, **place)
    figure.update_yaxes(title={"text": title, "font": {"size": 11}}, col=1)
    # Said, for a place without a panel would stretch the axis that all share
    values = [value for panel in panels for line in _lines_of(panel) for _, value in line]
    values += [value for panel in panels for value in panel.baselines.values()]
    margin = 0.05 * (max(values) - min(values)) or 0.001
    return figure.update_yaxes(nticks=5, range=[min(values) - margin, max(values) + margin])


def _empty(panels: int, columns: int) -> go.Figure:
    """Return a figure without panels, which has a height for so many, and a legend below them."""
    rows = math.ceil(panels / columns)
    return theme.figure(
        height=110 + PANEL * rows,
        hovermode="closest",
        legend={"y": -60 / (PANEL * rows)},
        meta=theme.grid(panels, columns, row=PANEL, gap=GAP, shares_x=True),
    )


def _ends(panels: Sequence[Panel]) -> list[float]:
    """Return the lowest and the highest position on the horizontal axis that all panels share."""
    places = [place for panel in panels for line in _lines_of(panel) for place, _ in line]
    return [min(places), max(places)]


def _add_baselines(
    figure: go.Figure, panel: Panel, ends: Sequence[float], place: Mapping[str, int]
) -> None:
    """Add a level line for each untuned baseline of a panel's model; the legend names each once."""
    named = {trace.name for trace in figure.data}
    for (name, value), dash in zip(
        panel.baselines.items(), cycle(theme.BASELINE_DASHES), strict=False
    ):
        label = theme.shown(f"{name}, untuned")
        figure.add_scatter(
            x=[*ends],
            y=[value, value],
            mode="lines",
            line={"color": theme.VERMILION, "width": 1.5, "dash": dash},
            name=label,
            legendgroup=label,
            showlegend=label not in named,
            hovertemplate=f"{label}: %{{y:.4f}}<extra></extra>",
            **place,
        )


def _lines_of(panel: Panel) -> list[Points]:
    return [panel.line, *panel.thin]


def _add_lines(
    figure: go.Figure, lines: Sequence[Points], line: Mapping[str, Any], place: Mapping[str, int]
) -> None:
    """Add several lines of one look as one trace."""
    if lines:
        figure.add_scatter(
            **_drawn(lines),
            mode="lines",
            line={**line},
            hoverinfo="skip",
            showlegend=False,
            **place,
        )


def _drawn(lines: Sequence[Points]) -> dict[str, list[float | None]]:
    """Return lines as the data of one trace, rounded to save bytes, with a gap between two of them."""
    x: list[float | None] = []
    y: list[float | None] = []
    for points in lines:
        x += [None] if x else []
        y += [None] if y else []
        x += [float(f"{place:.5g}") for place, _ in points]
        y += [round(value, 5) for _, value in points]
    return {"x": x, "y": y}


def _add_band(figure: go.Figure, panel: Panel, place: Mapping[str, int]) -> None:
    """Add the range around a panel's line, if it has one."""
    low, high = panel.band
    if not low:
        return
    red, green, blue = hex_to_rgb(theme.BLUE)
    figure.add_scatter(
        **_drawn([[*low, *reversed(high)]]),
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=f"rgba({red}, {green}, {blue}, {OPACITY})",
        hoverinfo="skip",
        showlegend=False,
        **place,
    )

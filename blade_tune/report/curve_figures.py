"""Figures of a study's learning curves, over epochs and over seconds of training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from blade_tune.report import theme
from blade_tune.report.figures import add_baselines
from blade_tune.report.numbers import reached
from blade_tune.storage.trials import best_trial, is_paused, scored_trials
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.clock import training_seconds

MAX_CURVES = 100
MAX_POINTS = 6_000  # over epochs: the dashboard stores that figure in its database
MAX_TIMED_POINTS = 3_500  # over seconds, which each point has to say

LINES = (  # of pruned and of paused trials, of completed ones, and of the best
    {"color": theme.GRAY, "width": 1},
    {"color": theme.GRAY, "width": 1},
    {"color": theme.SKY, "width": 1.5},
    {"color": theme.ORANGE, "width": 3.5},
)


@dataclass(frozen=True)
class _Curve:
    """A trial, and the positions of its evaluations on the axis."""

    trial: FrozenTrial
    positions: Mapping[int, float]  # by epoch


@dataclass(frozen=True)
class _Axis:
    """The horizontal axis of curves."""

    layout: Mapping[str, Any]
    hover: str  # how a position on the axis is shown, as a plotly template
    max_points: int


def over_epochs(stored: StoredStudy) -> go.Figure | None:
    """Draw the study's metric over epochs: completed trials, fainter pruned or paused ones, the best, and baselines.

    If there are many trials, some are shown that are evenly spaced by the value they reached, and of long curves every
    k-th evaluation; the figure says so. It stays below 100 kB. None without curves.
    """
    curves = []
    for trial in _curved(stored):
        epochs = {epoch: epoch for epoch in trial.intermediate_values}
        curves.append(_Curve(trial, epochs))
    last = max((max(curve.positions) for curve in curves), default=0)
    axis = _Axis(theme.counting("epoch", last), "epoch %{x}", MAX_POINTS)
    return _figure(stored, curves, axis, [])


def over_seconds(stored: StoredStudy) -> go.Figure | None:
    """Draw the study's metric over the seconds that each trial has trained, with the same limits as `over_epochs`.

    The figure says how many curves are left out because no seconds are stored. None without curves.
    """
    metric = stored.definition.objective.metric
    curves = []
    for trial in _curved(stored):
        seconds = training_seconds(trial, stored.files(trial), metric)
        curves.append(_Curve(trial, seconds))
    timed = [curve for curve in curves if curve.positions]
    notes = []
    if len(timed) < len(curves):
        missing = f"{len(curves) - len(timed)} of {len(curves)} curves"
        notes.append(f"left out: {missing}, of which no seconds are stored")
    axis = _Axis({"title": "seconds of training"}, "%{x} s", MAX_TIMED_POINTS)
    return _figure(stored, timed, axis, notes)


def _curved(stored: StoredStudy) -> list[FrozenTrial]:
    """Return the scored trials that have a curve; a model that is fitted at once has none."""
    if stored.definition.is_fitted:
        return []
    return [trial for trial in scored_trials(stored.trials) if trial.intermediate_values]


def _figure(
    stored: StoredStudy, curves: Sequence[_Curve], axis: _Axis, notes: Sequence[str]
) -> go.Figure | None:
    if not curves:
        return None

    # Which curves are drawn: of many, some at even distances, and the best in any case
    best = best_trial(_curved(stored))
    best_number = best.number if best else None
    kept = _evenly(sorted(curves, key=lambda curve: reached(curve.trial)), MAX_CURVES)
    # The best trial may have no position on this axis
    best_curves = [curve for curve in curves if curve.trial.number == best_number]
    if best_curves and all(curve is not best_curves[0] for curve in kept):
        kept[-1] = best_curves[0]

    # What the figure leaves out
    num_points = sum(len(curve.positions) for curve in kept)
    every = math.ceil(num_points / axis.max_points)
    notes = list(notes)
    if len(kept) < len(curves):
        notes.append(f"{len(kept)} of {len(curves)} curves, evenly spaced by height")
    if every > 1:
        notes.append(f"every {every}th evaluation")

    # Curves over baselines, the best on top
    metric = theme.valid(stored.definition.objective.metric)
    note = "; ".join(notes)
    figure = theme.figure(note, hovermode="closest", xaxis=axis.layout, yaxis_title=metric)
    end = max(max(curve.positions.values()) for curve in kept)
    add_baselines(figure, stored, [0, end])
    groups = {
        "pruned": [curve for curve in kept if _group(curve, best_number) == "pruned"],
        "paused": [curve for curve in kept if _group(curve, best_number) == "paused"],
        "completed": [curve for curve in kept if _group(curve, best_number) == "completed"],
        f"best (trial {best_number})": best_curves,
    }
    for (name, members), line in zip(groups.items(), LINES, strict=True):
        for index, curve in enumerate(members):
            figure.add_scatter(
                **_points(curve, every),
                mode="lines",
                line=line,
                name=name,
                hovertemplate=f"trial {curve.trial.number}, {axis.hover}: %{{y:.4f}}<extra></extra>",
                legendgroup=name,
                showlegend=index == 0,
                opacity=0.6 if name in ("pruned", "paused") else 1,
            )
    return figure


def _group(curve: _Curve, best_number: int | None) -> str:
    """Return which of the groups of curves with a look of their own a curve is in."""
    if curve.trial.number == best_number:
        return "best"
    if is_paused(curve.trial):
        return "paused"
    return "pruned" if curve.trial.state == TrialState.PRUNED else "completed"


def _evenly(curves: Sequence[_Curve], count: int) -> list[_Curve]:
    """Return at most `count` curves at even distances, the first and the last included."""
    if len(curves) <= count:
        return list(curves)
    return [curves[round(index * (len(curves) - 1) / (count - 1))] for index in range(count)]


def _points(curve: _Curve, every: int) -> dict[str, Any]:
    """Return the data of a plotly line: the last evaluation and every `every`-th before it, rounded to save bytes.

    Evenly spaced epochs are given as start and step, also to save bytes.
    """
    latest_first = sorted(curve.positions, reverse=True)
    epochs = sorted(latest_first[::every])
    y = [round(curve.trial.intermediate_values[epoch], 4) for epoch in epochs]
    x = [curve.positions[epoch] for epoch in epochs]
    if x != epochs:  # positions are seconds
        return {"y": y, "x": [float(f"{position:.5g}") for position in x]}
    gaps = {later - earlier for earlier, later in pairwise(epochs)}
    if len(gaps) != 1:
        return {"y": y, "x": epochs}
    return {"y": y, "x0": epochs[0], "dx": gaps.pop()}

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
from blade_tune.storage.trials import best_trial, is_scored, logical_trials
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.clock import training_seconds

MAX_CURVES = 100
MAX_POINTS = 6_000  # over epochs: the dashboard stores that figure in its database
MAX_TIMED_POINTS = 3_500  # over seconds, which each point has to say


@dataclass(frozen=True)
class _Curve:
    """A trial, and the positions of its evaluations on the axis."""

    trial: FrozenTrial
    places: Mapping[int, float]  # by epoch


@dataclass(frozen=True)
class _Axis:
    """The horizontal axis of curves."""

    layout: Mapping[str, Any]
    hover: str  # how a position on the axis is shown, as a plotly template
    max_points: int


def over_epochs(stored: StoredStudy) -> go.Figure | None:
    """Draw the study's metric over epochs: completed trials, fainter pruned ones, the best on top, and baselines.

    If there are many trials, some are shown that are evenly spaced by the value they reached, and of long curves every
    k-th evaluation; the figure says so. It stays below 100 kB. None without curves.
    """
    curves = [
        _Curve(trial, {epoch: epoch for epoch in trial.intermediate_values})
        for trial in _curved(stored)
    ]
    last = max((max(curve.places) for curve in curves), default=0)
    return _figure(
        stored, curves, _Axis(theme.counting("epoch", last), "epoch %{x}", MAX_POINTS), []
    )


def over_seconds(stored: StoredStudy) -> go.Figure | None:
    """Draw the study's metric over the seconds that each trial has trained, with the same limits as `over_epochs`.

    The figure says how many curves are left out because no seconds are stored. None without curves.
    """
    metric = stored.definition.objective.metric
    curves = [
        _Curve(trial, training_seconds(trial, stored.files(trial), metric))
        for trial in _curved(stored)
    ]
    timed = [curve for curve in curves if curve.places]
    missing = f"left out: {len(curves) - len(timed)} of {len(curves)} curves, of which no seconds are stored"
    axis = _Axis({"title": "seconds of training"}, "%{x} s", MAX_TIMED_POINTS)
    return _figure(stored, timed, axis, [missing] if len(timed) < len(curves) else [])


def _curved(stored: StoredStudy) -> list[FrozenTrial]:
    """Return the scored trials that have a curve; a model that is fitted at once has none."""
    if stored.definition.is_fitted:
        return []
    return [
        trial
        for trial in logical_trials(stored.trials)
        if is_scored(trial) and trial.intermediate_values
    ]


def _figure(
    stored: StoredStudy, curves: Sequence[_Curve], axis: _Axis, notes: Sequence[str]
) -> go.Figure | None:
    if not curves:
        return None
    best = best_trial(_curved(stored))  # which may have no place on this axis
    best_curve = next(
        (curve for curve in curves if best and curve.trial.number == best.number), None
    )
    kept = _evenly(sorted(curves, key=lambda curve: reached(curve.trial)), MAX_CURVES)
    if best_curve and all(curve is not best_curve for curve in kept):
        kept[-1] = best_curve
    every = math.ceil(sum(len(curve.places) for curve in kept) / axis.max_points)
    fewer = (
        [f"{len(kept)} of {len(curves)} curves, evenly spaced by height"]
        if len(kept) < len(curves)
        else []
    )
    fewer += [f"every {every}th evaluation"] if every > 1 else []
    metric = theme.valid(stored.definition.objective.metric)
    note = "; ".join([*notes, *fewer])
    figure = theme.figure(note, hovermode="closest", xaxis=axis.layout, yaxis_title=metric)
    add_baselines(figure, stored, [0, max(max(curve.places.values()) for curve in kept)])
    looks = {
        "pruned": {"color": theme.GRAY, "width": 1},
        "completed": {"color": theme.SKY, "width": 1.5},
        f"best (trial {best.number if best else None})": {"color": theme.ORANGE, "width": 3.5},
    }
    pruned, done, highest = looks
    for name in looks:
        first = True
        for curve in kept:
            trial = curve.trial
            own = (
                highest
                if curve is best_curve
                else pruned
                if trial.state == TrialState.PRUNED
                else done
            )
            if own == name:
                shown = {
                    "legendgroup": name,
                    "showlegend": first,
                    "opacity": 0.6 if name == pruned else 1,
                }
                hover = f"trial {trial.number}, {axis.hover}: %{{y:.4f}}<extra></extra>"
                label = {"name": name, "hovertemplate": hover}
                figure.add_scatter(
                    **_points(curve, every), mode="lines", line=looks[name], **label, **shown
                )
                first = False
    return figure


def _evenly(curves: Sequence[_Curve], count: int) -> list[_Curve]:
    """Return at most `count` curves at even distances, the first and the last included."""
    if len(curves) <= count:
        return list(curves)
    return [curves[round(index * (len(curves) - 1) / (count - 1))] for index in range(count)]


def _points(curve: _Curve, every: int) -> dict[str, Any]:
    """Return the data of a plotly line: the last evaluation and every `every`-th before it, rounded to save bytes.

    Evenly spaced epochs are given as start and step, also to save bytes.
    """
    epochs = sorted(curve.places)[::-1][::every][::-1]
    y = [round(curve.trial.intermediate_values[epoch], 4) for epoch in epochs]
    x = [curve.places[epoch] for epoch in epochs]
    if all(place == epoch for place, epoch in zip(x, epochs, strict=True)):
        gaps = {later - earlier for earlier, later in pairwise(epochs)}
        return (
            {"y": y, "x0": epochs[0], "dx": gaps.pop()} if len(gaps) == 1 else {"y": y, "x": epochs}
        )
    return {"y": y, "x": [float(f"{place:.5g}") for place in x]}

"""Learning curves of a study: over epochs, and over seconds of training."""

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
    """A trial, and where on the axis its evaluations lie."""

    trial: FrozenTrial
    places: Mapping[int, float]  # by epoch


@dataclass(frozen=True)
class _Axis:
    """What curves are drawn over."""

    layout: Mapping[str, Any]
    hover: str  # a place on it, in words
    max_points: int


def over_epochs(stored: StoredStudy) -> go.Figure | None:
    """The study's metric over epochs: completed trials strong, pruned ones faint, the best on top; and the baselines.

    Of many trials some are shown, evenly spaced by what they reached, and of long curves every k-th evaluation; the
    figure says so, and stays below 100 kB.
    """
    curves = [_Curve(trial, {epoch: epoch for epoch in trial.intermediate_values}) for trial in _curved(stored)]
    last = max((max(curve.places) for curve in curves), default=0)
    return _figure(stored, curves, _Axis(theme.counting("epoch", last), "epoch %{x}", MAX_POINTS), [])


def over_seconds(stored: StoredStudy) -> go.Figure | None:
    """The same over the seconds that each trial itself has trained; says of how many trials nobody knows them."""
    metric = stored.definition.objective.metric
    curves = [_Curve(trial, training_seconds(trial, stored.files(trial), metric)) for trial in _curved(stored)]
    timed = [curve for curve in curves if curve.places]
    missing = f"left out: {len(curves) - len(timed)} of {len(curves)} curves, of which no seconds are stored"
    axis = _Axis({"title": "seconds of training"}, "%{x} s", MAX_TIMED_POINTS)
    return _figure(stored, timed, axis, [missing] if len(timed) < len(curves) else [])


def _curved(stored: StoredStudy) -> list[FrozenTrial]:
    """The scored trials that have a curve; a fit is one point."""
    if stored.definition.is_fitted:
        return []
    return [trial for trial in logical_trials(stored.trials) if is_scored(trial) and trial.intermediate_values]


def _figure(stored: StoredStudy, curves: Sequence[_Curve], axis: _Axis, notes: Sequence[str]) -> go.Figure | None:
    if not curves:
        return None
    best = best_trial(_curved(stored))  # which may have no place on this axis
    best_curve = next((curve for curve in curves if best and curve.trial.number == best.number), None)
    kept = _evenly(sorted(curves, key=lambda curve: reached(curve.trial)), MAX_CURVES)
    if best_curve and all(curve is not best_curve for curve in kept):
        kept[-1] = best_curve
    every = math.ceil(sum(len(curve.places) for curve in kept) / axis.max_points)
    fewer = [f"{len(kept)} of {len(curves)} curves, evenly spaced by height"] if len(kept) < len(curves) else []
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
            own = highest if curve is best_curve else pruned if trial.state == TrialState.PRUNED else done
            if own == name:
                shown = {"legendgroup": name, "showlegend": first, "opacity": 0.6 if name == pruned else 1}
                hover = f"trial {trial.number}, {axis.hover}: %{{y:.4f}}<extra></extra>"
                label = {"name": name, "hovertemplate": hover}
                figure.add_scatter(**_points(curve, every), mode="lines", line=looks[name], **label, **shown)
                first = False
    return figure


def _evenly(curves: Sequence[_Curve], count: int) -> list[_Curve]:
    """At most so many of them, the first and the last included."""
    if len(curves) <= count:
        return list(curves)
    return [curves[round(index * (len(curves) - 1) / (count - 1))] for index in range(count)]


def _points(curve: _Curve, every: int) -> dict[str, Any]:
    """The last evaluation and every so many before it, to a few digits; an even grid as start and step."""
    epochs = sorted(curve.places)[::-1][::every][::-1]
    y = [round(curve.trial.intermediate_values[epoch], 4) for epoch in epochs]
    x = [curve.places[epoch] for epoch in epochs]
    if all(place == epoch for place, epoch in zip(x, epochs, strict=True)):
        gaps = {later - earlier for earlier, later in pairwise(epochs)}
        return {"y": y, "x0": epochs[0], "dx": gaps.pop()} if len(gaps) == 1 else {"y": y, "x": epochs}
    return {"y": y, "x": [float(f"{place:.5g}") for place in x]}

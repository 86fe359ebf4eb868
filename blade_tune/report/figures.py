"""Figures of a study over its trials; a function returns None if there is nothing to show."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, cycle

import numpy as np
import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState
from plotly.subplots import make_subplots

from blade_tune.report import numbers, theme
from blade_tune.report.numbers import reached
from blade_tune.search.replicates import pooled_noise
from blade_tune.selection.saturation import Course
from blade_tune.selection.statistics import expected_best as expected_highest
from blade_tune.storage.spending import words_of
from blade_tune.storage.trials import best_trial, is_paused, scored_trials
from blade_tune.study.stored import StoredStudy

MAX_COUNTS = 200  # places at which the expected best is computed
COLORS = (
    theme.BLUE,
    theme.SKY,
    theme.PURPLE,
    theme.GREEN,
    theme.VERMILION,
    theme.GRAY,
    theme.ORANGE,
)
KIND_COLORS = dict(zip(numbers.KINDS, COLORS, strict=True))


def history(stored: StoredStudy) -> go.Figure | None:
    """Draw the value of each trial, the best so far, the untuned baselines, and how far seeds alone move a value."""
    trials = scored_trials(stored.trials)
    if not trials:
        return None
    metric = theme.valid(stored.definition.objective.metric)
    trial_numbers = _numbers(trials)
    ends = [min(trial_numbers), max(trial_numbers)]
    figure = theme.figure(xaxis=theme.counting("trial", ends[1]), yaxis_title=metric)
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state != TrialState.COMPLETE]

    # How far a seed alone moves the best value, behind all else
    best, noise = best_trial(completed), pooled_noise(stored.definition.space, stored.trials)
    if best and noise:
        value = best.value or 0.0
        low, high = value - noise.deviation, value + noise.deviation
        figure.add_scatter(
            x=[*ends, *ends[::-1]],
            y=[low, low, high, high],
            mode="lines",
            name=f"best ± 1 sd between seeds (from {noise.degrees_of_freedom} df)",
            fill="toself",
            fillcolor="rgba(0, 114, 178, 0.12)",
            line={"width": 0},
            hoverinfo="skip",
        )

    # A mark a trial
    marks = {"mode": "markers", "hovertemplate": "trial %{x}<br>%{y:.4f}"}
    if pruned:
        hollow = {"symbol": "circle-open", "color": theme.GRAY, "size": 7}
        values = [reached(trial) for trial in pruned]
        is_any_paused = any(map(is_paused, pruned))
        name = f"{'paused' if is_any_paused else 'pruned'}, best until then"
        figure.add_scatter(x=_numbers(pruned), y=values, name=name, marker=hollow, **marks)
    if completed:
        x, values = _numbers(completed), [trial.value or 0.0 for trial in completed]
        filled = {"color": theme.BLUE, "size": 8}
        figure.add_scatter(x=x, y=values, name="completed", marker=filled, **marks)

        # The best so far, up to the last trial of any state
        so_far = [*accumulate(values, max)]
        steps = {"shape": "hv", "color": theme.ORANGE, "width": 2.5}
        figure.add_scatter(
            x=[*x, ends[1]],
            y=[*so_far, so_far[-1]],
            name="best so far",
            mode="lines",
            line=steps,
        )
    add_baselines(figure, stored, ends)
    return figure


def add_baselines(figure: go.Figure, stored: StoredStudy, ends: Sequence[float]) -> None:
    """Add a horizontal line for the value of each untuned baseline to a figure, over the range `ends`."""
    baselines = stored.baseline_figures.items()
    for (name, value), dash in zip(baselines, cycle(theme.BASELINE_DASHES), strict=False):
        line = {"dash": dash, "color": theme.VERMILION}
        label = f"{name}, untuned ({value:.4f})"
        figure.add_scatter(x=ends, y=[value, value], name=label, mode="lines", line=line)


def expected_best(stored: StoredStudy) -> go.Figure | None:
    """Draw the expected best of n trials, drawn with replacement from those that were run (Dodge et al. 2019)."""
    values = numbers.scored_values(stored)
    if len(values) < 2:
        return None
    # Numbers of trials at which it is computed, denser where it rises
    counts = sorted({round(count) for count in np.geomspace(1, len(values), MAX_COUNTS)})
    note = f"Takes the {len(values)} trials for independent draws, which TPE's are not."
    metric = theme.valid(stored.definition.objective.metric)
    figure = theme.figure(
        note,
        xaxis=theme.counting("scored trials", len(values)),
        yaxis_title=f"expected best {metric}",
        showlegend=False,
    )
    figure.add_scatter(
        x=counts,
        y=expected_highest(values, counts),
        mode="lines",
        line={"color": theme.BLUE, "width": 2.5},
    )
    return figure


def best_so_far(course: Course, metric: str) -> go.Figure | None:
    """Draw the best value so far over what was spent, in the unit of the budget.

    Args:
        course: of the search.
        metric: name of the metric, as the axis has it.
    """
    points = [point for point in course.points if point.best is not None]
    if len(points) < 2:
        return None
    x = [course.spent(point) for point in points]
    figure = theme.figure(
        xaxis={"title": f"{words_of(course.unit)} spent", "rangemode": "tozero"},
        yaxis_title=f"best {metric}",
        showlegend=False,
    )
    steps = {"shape": "hv", "color": theme.ORANGE, "width": 2.5}
    figure.add_scatter(x=x, y=[point.best for point in points], mode="lines", line=steps)
    figure.add_vline(x=x[-1] / 2, line={"dash": "dot", "color": theme.GRAY})
    return figure


def cost(stored: StoredStudy) -> go.Figure | None:
    """Draw epochs and hours of training by what they were spent on."""
    rows = numbers.costs(stored)
    rows.reverse()  # plotly draws the first bar at the bottom
    if not rows:
        return None
    kinds = [row["kind"] for row in rows]
    marker = {"color": [KIND_COLORS[kind] for kind in kinds]}
    empty = theme.figure(height=110 + 34 * len(rows), showlegend=False)
    figure = make_subplots(1, 2, shared_yaxes=True, figure=empty)
    for column, name in enumerate(("epochs", "hours"), start=1):
        spent = [row[name] for row in rows]
        total = sum(spent)
        text = [f"{value / total:.0%}" if total else "" for value in spent]
        figure.add_bar(
            x=spent,
            y=kinds,
            text=text,
            marker=marker,
            orientation="h",
            textangle=0,
            row=1,
            col=column,
        )
        figure.update_xaxes(title=name, nticks=4, tickangle=0, row=1, col=column)
    return figure


def _numbers(trials: Iterable[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]

"""Learning curves: over epochs and over seconds, beside baselines, and what they leave out."""

import copy
from dataclasses import replace

import pytest

from blade_tune.report import curve_figures
from blade_tune.storage.trials import best_trial, num_scored
from tests.report import made_up
from tests.report.made_up import EVAL_EVERY, trial

AXES = pytest.mark.parametrize("make", [curve_figures.over_epochs, curve_figures.over_seconds])
NUM_BASELINES = len(made_up.BASELINES["metrics"])


def drawn(curve):
    """The points of a learning curve: place on the axis -> value."""
    places = curve.x or [curve.x0 + place * curve.dx for place in range(len(curve.y))]
    return dict(zip(places, curve.y, strict=True))


def without_clock(stored, numbers):
    """The same trials, of which those of these numbers are from a time when no seconds were stored."""
    rows = copy.deepcopy(stored.trials)
    for row in rows:
        if row.number in numbers:
            del row.user_attrs["clock"]
    return made_up.in_memory(rows, stored)


def note(figure):
    return (figure.layout.title.text or "").replace("<br>", " ")


@AXES
def test_learning_curves_are_those_of_the_trials(searched, make):
    """A curve a scored trial at its evaluations; the best is drawn last, over the others."""
    figure = make(searched)
    assert len(figure.data) == num_scored(searched.trials) + NUM_BASELINES
    best = best_trial(searched.trials)
    assert [*drawn(figure.data[-1]).values()] == pytest.approx(
        [*best.intermediate_values.values()], abs=1e-4
    )
    assert [trace.name for trace in figure.data[NUM_BASELINES:] if trace.showlegend] == [
        "pruned",
        "completed",
        f"best (trial {best.number})",
    ]
    assert figure.layout.title.text is None


def test_the_axes_are_epochs_and_seconds_of_training(searched):
    """An evaluation stands at its epoch, and at the seconds that the trial had trained for until its end."""
    best = best_trial(searched.trials)
    over_epochs, over_seconds = (
        curve_figures.over_epochs(searched),
        curve_figures.over_seconds(searched),
    )
    assert [*drawn(over_epochs.data[-1])] == [*best.intermediate_values]
    assert [*drawn(over_seconds.data[-1])] == [1.5 * epoch for epoch in best.intermediate_values]
    assert [figure.layout.xaxis.title.text for figure in (over_epochs, over_seconds)] == [
        "epoch",
        "seconds of training",
    ]


@AXES
def test_baselines_are_level_lines_across_the_curves(searched, make):
    """Each has its name and its figure, from the left edge to the end of the longest curve."""
    figure = make(searched)
    lines, curves = figure.data[:NUM_BASELINES], figure.data[NUM_BASELINES:]
    assert [line.name for line in lines] == [
        "popularity, untuned (0.0800)",
        "item_knn, untuned (0.1000)",
    ]
    assert [set(line.y) for line in lines] == [{0.08}, {0.1}]
    end = max(max(drawn(curve)) for curve in curves)
    assert {tuple(line.x) for line in lines} == {(0, end)}


@AXES
@pytest.mark.parametrize(("count", "evaluations"), [(100, 60), (300, 300), (5, 10_000)])
def test_learning_curves_stay_small(searched, make, count, evaluations):
    """However many trials and evaluations there are, the figure is below 100 kB, and says what it leaves out."""
    params = made_up.trials(1)[0].params
    rows = [trial(params, EVAL_EVERY * evaluations, {"seed": seed}) for seed in range(count)]
    stored = made_up.in_memory(rows, searched)
    figure = make(stored)
    assert len(figure.to_json()) < 100_000
    most = (
        curve_figures.MAX_POINTS
        if make is curve_figures.over_epochs
        else curve_figures.MAX_TIMED_POINTS
    )
    assert ("curves" in note(figure), "evaluation" in note(figure)) == (
        count > curve_figures.MAX_CURVES,
        min(count, curve_figures.MAX_CURVES) * evaluations > most,
    )
    assert f"trial {best_trial(stored.trials).number})" in figure.data[-1].name


def test_curves_without_seconds_are_counted_not_drawn(searched):
    """The figure over seconds says of how many trials none are stored; over epochs all are there."""
    stored = without_clock(searched, {0, 1})
    figure = curve_figures.over_seconds(stored)
    count = num_scored(stored.trials)
    assert len(figure.data) == count - 2
    assert note(figure) == f"left out: 2 of {count} curves, of which no seconds are stored"
    assert len(curve_figures.over_epochs(stored).data) == count


def test_no_other_curve_is_called_the_best(searched):
    """Where the best trial has no seconds, none is drawn as the best."""
    names = {
        trace.name
        for trace in curve_figures.over_seconds(
            without_clock(searched, {best_number(searched)})
        ).data
    }
    assert names == {"pruned", "completed"}


def best_number(stored):
    return best_trial(stored.trials).number


def test_without_any_seconds_there_is_no_figure_over_them(searched):
    """A study of an earlier version, with the database alone at hand, has the curves over epochs only."""
    stored = without_clock(searched, {row.number for row in searched.trials})
    assert curve_figures.over_seconds(stored) is None
    assert curve_figures.over_epochs(stored) is not None


@AXES
def test_a_fitted_model_has_no_curve(searched, make):
    """A fit is one point."""
    fitted = replace(searched.definition, model="item_knn")
    assert make(replace(searched, definition=fitted)) is None

"""Forecasts of what a family gains: expected improvement, and the end of an unfinished trial by a reference's curve."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.auto.forecast import LATE_SPREAD, PRIOR_SPREAD, Forecast, Seen, TrialCurve, forecast

FIGURES = st.floats(0.001, 0.5)


def curve(*figures: float, seconds: float = 10.0) -> TrialCurve:
    """A trial evaluated after every epoch."""
    return TrialCurve(tuple(enumerate(figures, start=1)), seconds)


@given(mean=FIGURES, sd=st.floats(0.001, 0.1), best=FIGURES)
def test_gain_is_the_mean_improvement_over_draws(mean: float, sd: float, best: float) -> None:
    """The expected improvement is that of its definition, E[max(0, X - best)], as draws have it."""
    draws = np.random.default_rng(0).normal(mean, sd, 200_000)
    gains = np.maximum(0.0, draws - best)
    error = gains.std() / math.sqrt(len(gains))
    assert Forecast(mean, sd, 1.0).gain(best) == pytest.approx(gains.mean(), abs=6 * error + 1e-6)
    share = (draws > best).mean()
    assert Forecast(mean, sd, 1.0).chance(best) == pytest.approx(share, abs=0.01)


def test_a_certain_forecast_gains_what_it_lies_above() -> None:
    """Without a spread the gain is the difference, or nothing."""
    assert Forecast(0.3, 0.0, 1.0).gain(0.2) == pytest.approx(0.1)
    assert Forecast(0.1, 0.0, 1.0).gain(0.2) == 0.0
    assert (Forecast(0.3, 0.0, 1.0).chance(0.2), Forecast(0.1, 0.0, 1.0).chance(0.2)) == (1.0, 0.0)


@given(scale=st.floats(0.2, 3.0), epochs=st.integers(1, 7))
def test_a_trial_in_proportion_to_the_reference_ends_in_proportion(
    scale: float, epochs: int
) -> None:
    """An unfinished trial whose curve is the reference's times a number is forecast to end at its best times it."""
    figures = [0.01, 0.04, 0.03, 0.06, 0.08, 0.07, 0.09, 0.085]
    reference = curve(*figures)
    unfinished = curve(*(scale * figure for figure in figures[:epochs]), seconds=2.0 * epochs)
    found = forecast(Seen(unfinished=(unfinished,)), reference)
    assert found is not None
    assert found.mean == pytest.approx(scale * 0.09)
    assert found.seconds == pytest.approx(2.0 * (8 - epochs))


@given(epochs=st.integers(1, 7))
def test_a_later_forecast_is_surer(epochs: int) -> None:
    """The relative spread falls with the epochs seen, to LATE_SPREAD at the reference's last."""
    reference = curve(*np.linspace(0.01, 0.1, 8))
    spreads = []
    for seen in (epochs, epochs + 1):
        found = forecast(Seen(unfinished=(curve(*np.linspace(0.01, 0.1, 8)[:seen]),)), reference)
        assert found is not None
        spreads.append(found.sd / found.mean)
    assert spreads[1] < spreads[0]
    assert spreads[1] >= LATE_SPREAD * (1 - 1e-9)


def test_nothing_is_forecast_without_a_reference() -> None:
    """An unfinished trial says nothing before any other has ended; a family that was never seen says nothing at all."""
    assert forecast(Seen(unfinished=(curve(0.1),)), None) is None
    assert forecast(Seen(), curve(0.1)) is None


def test_the_most_promising_unfinished_trial_goes_on() -> None:
    """Of several unfinished trials the one with the highest forecast counts."""
    reference = curve(0.05, 0.1)
    found = forecast(Seen(unfinished=(curve(0.01), curve(0.08), curve(0.02))), reference)
    assert found is not None
    assert found.mean == pytest.approx(0.16)


@given(counted=st.floats(0.0, 0.5), epochs=st.integers(1, 8))
def test_what_is_counted_weighs_less_with_every_epoch(counted: float, epochs: int) -> None:
    """A trial is forecast between its end by the curve and what is counted, at its last epoch by the curve alone."""
    reference = curve(*np.linspace(0.01, 0.08, 8))
    unfinished = Seen(unfinished=(curve(*np.linspace(0.01, 0.08, 8)[:epochs]),))
    by_curve, found = (forecast(unfinished, reference, level) for level in (0.0, counted))
    assert found is not None
    assert by_curve is not None
    expected = by_curve.mean + (1 - epochs / 8) * max(0.0, counted - by_curve.mean)
    assert found.mean == pytest.approx(expected)


@given(values=st.lists(FIGURES, min_size=1, max_size=9))
def test_a_new_trial_is_forecast_by_the_better_half(values: list[float]) -> None:
    """The mean lies within the better half of the values, and its spread begins at PRIOR_SPREAD."""
    found = forecast(Seen(ended=tuple(curve(value, seconds=4.0) for value in values)), None)
    assert found is not None
    better = sorted(values, reverse=True)[: math.ceil(len(values) / 2)]
    assert better[-1] - 1e-12 <= found.mean <= better[0] + 1e-12
    assert found.seconds == pytest.approx(4.0)
    if len(values) == 1:
        assert found.sd == pytest.approx(math.sqrt(2 / 2) * PRIOR_SPREAD * values[0])

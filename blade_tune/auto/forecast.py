"""What a family of models is expected to gain by more time, from what has been seen of its trials.

The gain is the expected improvement over the best value so far (Mockus 1975; Jones, Schonlau and Welch 1998), for a
normal forecast of the next trial's value. Divided by the seconds that the trial is expected to take it makes families
comparable that cost hundreds of times as much as others (Snoek, Larochelle and Adams, NeurIPS 2012, section 3.2).

A trial that has not ended is forecast by a reference, the curve of the best completed trial of any family: it is taken
to end as far above or below it, as a ratio, as it is at its latest epoch. Where the x-ray has counted that what a
family reads reaches more, the forecast begins at that, and comes to the curve's as the trial goes on: the reference may
be of a model that reads less, and then does not know when others begin to learn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# Relative standard deviation of a forecast of a new trial, before the family's own trials show it, and how many trials
# that guess weighs.
PRIOR_SPREAD, PRIOR_WEIGHT = 0.05, 2
# Relative standard deviation of a forecast by the reference's curve, late in training and at the first epoch.
LATE_SPREAD, FIRST_SPREAD = 0.05, 0.3


@dataclass(frozen=True)
class TrialCurve:
    """The validation figures of one trial by epoch, and the seconds of training that they took."""

    figures: tuple[tuple[int, float], ...]  # (epoch, figure), in order of epochs
    seconds: float

    @property
    def epoch(self) -> int:
        """The latest epoch that was evaluated."""
        return self.figures[-1][0]

    @property
    def best(self) -> float:
        """The highest figure."""
        return max(figure for _, figure in self.figures)

    def best_by(self, epoch: int) -> float:
        """Return the highest figure up to an epoch; the first one where none is as early."""
        early = [figure for at, figure in self.figures if at <= epoch]
        return max(early, default=self.figures[0][1])


@dataclass(frozen=True)
class Seen:
    """What has been seen of a family's trials."""

    ended: tuple[TrialCurve, ...] = ()  # trials that completed or were pruned
    unfinished: tuple[TrialCurve, ...] = ()  # trials that wait to go on, evaluated at least once

    @property
    def best(self) -> float | None:
        """The highest value of an ended trial; None before there is one."""
        return max((curve.best for curve in self.ended), default=None)

    @property
    def longest_s(self) -> float:
        """Seconds of the longest training that has ended."""
        return max((curve.seconds for curve in self.ended), default=0.0)

    @property
    def seconds(self) -> float:
        """Seconds of training in all trials together."""
        return sum(curve.seconds for curve in (*self.ended, *self.unfinished))


@dataclass(frozen=True)
class Forecast:
    """The value that a family's next trial is expected to end with, and what it takes."""

    mean: float
    sd: float
    seconds: float  # of training that are still to be spent on the trial

    def gain(self, best: float) -> float:
        """Return the expected improvement over a value."""
        if self.sd == 0:
            return max(0.0, self.mean - best)
        normal = NormalDist()
        z = (self.mean - best) / self.sd
        return self.sd * (z * normal.cdf(z) + normal.pdf(z))

    def chance(self, best: float) -> float:
        """Return the probability that the value lies above another."""
        if self.sd == 0:
            return float(self.mean > best)
        return 1 - NormalDist(self.mean, self.sd).cdf(best)


def forecast(seen: Seen, reference: TrialCurve | None, counted: float = 0.0) -> Forecast | None:
    """Return what is expected of the next trial of a family: its most promising unfinished one, or else a new one.

    Args:
        seen: the family's trials, of which at least one was evaluated.
        reference: the curve of the best ended trial of any family that trains in epochs; None before there is one.
        counted: what the x-ray reached by counts of what the family reads; 0 where it does not matter.

    Returns:
        None where nothing can be said yet: no trial has ended, and there is no reference.
    """
    if seen.unfinished:
        if reference is None:
            return None
        forecasts = [_to_its_end(curve, reference, counted) for curve in seen.unfinished]
        return max(forecasts, key=lambda each: each.mean)
    return _of_new(seen.ended) if seen.ended else None


def _to_its_end(curve: TrialCurve, reference: TrialCurve, counted: float) -> Forecast:
    """Forecast the end of an unfinished trial, as far from the reference then as it is now, or near what is counted."""
    epoch = curve.epoch
    ratio = curve.best / max(reference.best_by(epoch), math.ulp(1.0))
    mean = max(curve.best, ratio * reference.best)
    # Of the reference's epochs, the share that the trial has had
    share = min(1.0, epoch / reference.epoch)
    mean = max(mean, share * mean + (1 - share) * counted)
    spread = FIRST_SPREAD + (LATE_SPREAD - FIRST_SPREAD) * share
    left = max(reference.epoch - epoch, 1)
    return Forecast(mean, spread * mean, left * curve.seconds / epoch)


def _of_new(ended: Sequence[TrialCurve]) -> Forecast:
    """Forecast a new trial by the better half of those that have ended, which the sampler is guided by."""
    values = np.sort([curve.best for curve in ended])[::-1]
    better = values[: math.ceil(len(values) / 2)]
    mean = float(better.mean())
    squares = PRIOR_WEIGHT * (PRIOR_SPREAD * mean) ** 2 + float(((better - mean) ** 2).sum())
    sd = math.sqrt(squares / (PRIOR_WEIGHT + len(better) - 1))
    seconds = sum(curve.seconds for curve in ended) / len(ended)
    return Forecast(mean, sd, seconds)

"""What the second half of a budget added is told from what trials had spent and reached when they ended."""

import math

from blade_tune.selection.saturation import Course, Moment, course
from blade_tune.study.stored import StoredStudy

POINTS = [
    Moment(1, 10, 0.1, 0.1, 0.2),
    Moment(1, 15, 0.2, 0.1, 0.2),  # one that failed
    Moment(2, 50, 0.3, 0.6, 0.3),
    Moment(3, 60, 0.9, 0.7, 0.3),
    Moment(4, 100, 1.0, 1.0, 0.35),
]


def test_halves_are_of_what_was_spent():
    """In trials, steps, hours and CPU hours the half lies elsewhere; a point counts once it is within it."""
    by_unit = {
        unit: Course(POINTS, unit, None) for unit in ("trials", "steps", "hours", "cpu_hours")
    }
    assert {unit: spent.best_at_half for unit, spent in by_unit.items()} == {
        "trials": 0.3,
        "steps": 0.3,
        "hours": 0.3,
        "cpu_hours": 0.2,
    }
    early = Course(POINTS[:1] + POINTS[2:], "steps", None)
    assert early.at(0.25) == POINTS[0]
    assert math.isclose(by_unit["steps"].second_half_added or 0.0, 0.05)


def test_the_sentence_says_what_noise_is():
    """An addition below the noise of a seed is called so; one above is not."""
    quiet, loud = Course(POINTS, "steps", 0.01).words, Course(POINTS, "steps", 0.1).words
    assert quiet == (
        "The second half of 100 steps added 0.0500 to the best value (0.3000 to 0.3500), which was reached after 100% "
        "of them: no less than what another seed alone changes (0.0100, sd)."
    )
    assert ": less than what another seed alone changes (0.1000, sd)." in loud


def test_without_anything_in_the_first_half_nothing_is_claimed():
    """A single trial, or none, says nothing of saturation."""
    assert "is not known" in Course(POINTS[-1:], "steps", None).words
    assert "is not known" in Course([], "trials", None).words


def test_a_course_is_that_of_the_stored_trials(search: StoredStudy):
    """Trials in the order in which they ended, with their steps and hours in sum, and the best so far."""
    found = course(search)
    trials = sorted(
        search.trials, key=lambda trial: trial.datetime_complete or trial.datetime_start
    )
    assert [point.trials for point in found.points] == [1, 2, 3, 4]
    assert found.points[-1].steps == sum(trial.user_attrs["steps"] for trial in trials)
    values = [trial.value or 0.0 for trial in trials]
    assert [point.best for point in found.points] == [max(values[: n + 1]) for n in range(4)]
    assert found.unit == "trials"

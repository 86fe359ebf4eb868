"""Progress of a study in words, for live views and lines."""

from collections.abc import Mapping

from blade_tune.parameter import Value
from blade_tune.storage.pace import Pace
from blade_tune.trial.callback import StudySummary

MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds


def assignments(values: Mapping[str, Value] | None) -> str:
    """Return parameters as one line of name=value, without their groups."""
    words = []
    for dotted_name, value in (values or {}).items():
        _, _, name = dotted_name.partition(".")
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        words.append(f"{name or dotted_name}={text}")
    return " ".join(words)


def baseline_words(figures: Mapping[str, float], left_out: Mapping[str, str]) -> str:
    """Return one line with each baseline's figure, or the reason why it has none."""
    words = [f"{name}={figure:.4f}" for name, figure in figures.items()]
    words += [f"{name}=none ({reason})" for name, reason in left_out.items()]
    return " ".join(words)


def done_words(summary: StudySummary) -> str:
    """Return how much of its budget a study has spent: "12/20 trials", "0.2/1.5 hours, 12 trials"."""
    unit, done, total = summary.progress
    if summary.unit:
        trials = "trial" if summary.scored == 1 else "trials"
        return f"{done:,.4g}/{total:,.4g} {unit}, {summary.scored} {trials}"
    return f"{done}/{total} trials"


def rate_words(per_hour: float) -> str:
    """Return a rate: "1,200/h", "2.5/h", "3/day"."""
    if per_hour < 1:
        return f"{24 * per_hour:.2g}/day"
    return f"{per_hour:.2g}/h" if per_hour < 10 else f"{per_hour:,.0f}/h"


def left_entry(pace: Pace | None) -> str:
    """Return the seconds that are left as an entry of a line, " left_s=40"; empty where they are not known."""
    if pace is None:
        return ""
    name = "left_at_most_s" if pace.is_bound else "left_s"
    return f" {name}={pace.left_s:.0f}"


def pace_words(pace: Pace | None) -> str:
    """Return a study's rate and the time that is left, "31/h, about 12 min left"; empty where they are not known."""
    if pace is None:
        return ""
    bound = "at most" if pace.is_bound else "about"
    return f"{rate_words(pace.per_hour)}, {bound} {duration_words(pace.left_s)} left"


def duration_words(seconds: float) -> str:
    """Return a duration in its one or two largest units: "40 s", "12 min", "3 h 20 min", "2 days 4 h"."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE)
    if minutes < 60:
        return f"{minutes} min"
    hours = round(seconds / HOUR)
    if seconds < 10 * HOUR:
        return f"{minutes // 60} h {minutes % 60} min"
    if hours < 48:
        return f"{hours} h"
    return f"{hours // 24} days {hours % 24} h"

"""An automatic choice in plain words: what won and by how much, what matters in the data, and what it all took."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blade_tune.auto.family import Family, best_of, reference_of
from blade_tune.auto.finish import Chosen
from blade_tune.auto.schedule import Schedule
from blade_tune.selection.statistics import Comparison
from blade_tune.xray.verdict import Finding

# What a finding of the x-ray is about, in a sentence
THINGS = {
    "order": "the order of a history",
    "recency": "how recent its steps are",
    "sets": "its behavior sets",
    "repeats": "items met before",
}
# Expected gain, relative to the best value, below which more time is said to bring little
LITTLE = 0.005


def paragraph(
    choice: Chosen, families: Sequence[Family], findings: Mapping[str, Finding], schedule: Schedule
) -> str:
    """Return what was found, in sentences.

    Args:
        choice: the choice.
        families: all families that were searched.
        findings: the x-ray of the data, by name.
        schedule: the time that was given.
    """
    sentences = [
        *_what_won(choice),
        *_what_matters(findings),
        _what_it_took(families, schedule),
        _what_more_brings(families),
    ]
    return " ".join(sentences)


def _what_won(choice: Chosen) -> Iterator[str]:
    metric = choice.comparisons.metric.upper()
    chosen = choice.chosen
    mean = chosen.scores.estimate(choice.comparisons.metric).mean
    if choice.ensemble and choice.is_ensemble:
        drawn = ", ".join(f"{run.name} {count}" for run, count in choice.ensemble.members)
        yield f"An ensemble of confirmed runs is exported ({drawn}). {choice.ensemble.words} Of models alone:"
    if chosen.expected:
        yield f"{chosen.label} is chosen: {metric} {chosen.expected} is to be expected of it for other users."
    else:
        yield f"{chosen.label} is chosen: {metric} {mean:.4f} on validation users."
    if choice.best is not chosen:
        reached = choice.best.scores.estimate(choice.comparisons.metric).mean
        yield (
            f"{choice.best.label} reached {reached:.4f}, which is not better beyond chance, and is less simple."
        )
    if choice.over_classical:
        name, over = choice.over_classical
        yield f"The best other model that is only counted or fitted, {name}, is {_distance(over)}."
    if chosen.verdict:
        yield f"It lies {chosen.verdict} (untuned)."


def _distance(over: Comparison) -> str:
    words = "below it" if over.difference > 0 else "above it"
    sure = "beyond chance" if over.low > 0 or over.high < 0 else "not beyond chance"
    return f"{abs(over.difference):.4f} {words} ({over.low:+.4f} to {over.high:+.4f}), {sure}"


def _what_matters(findings: Mapping[str, Finding]) -> Iterator[str]:
    """Yield a sentence on what in histories helps to predict, by counts."""
    said: dict[str, list[str]] = {}
    for name, thing in THINGS.items():
        if name in findings:
            said.setdefault(findings[name].verdict, []).append(thing)
    for verdict, things in said.items():
        if verdict == "matters":
            yield f"By counts, {_listed(things)} {'matters' if len(things) == 1 else 'matter'} in these data."
        elif verdict == "does not show":
            yield f"No use shows of {_listed(things)}."
        else:
            yield f"There are too few users to tell the use of {_listed(things)}."


def _what_it_took(families: Sequence[Family], schedule: Schedule) -> str:
    tried = [family for family in families if family.seen.seconds]
    trials = sum(len(family.seen.ended) for family in tried)
    costly = sorted(tried, key=lambda family: family.seen.seconds, reverse=True)
    shares = ", ".join(f"{family.model} {family.seen.seconds:,.0f} s" for family in costly[:3])
    unseen = len(families) - len(tried)
    left = f" {unseen} more had no time." if unseen else ""
    return (
        f"{len(tried)} models had {trials} trials in {schedule.passed_s / 60:.1f} minutes; most of the training went "
        f"to {shares}.{left}"
    )


def _what_more_brings(families: Sequence[Family]) -> str:
    """Return a sentence on the most promising next trial, by what is forecast of it."""
    reference, leading = reference_of(families), best_of(families)
    best = leading.seen.best if leading else None
    gains = {}
    for family in families:
        found = None if family.left else family.forecast(reference)
        if found and best:
            gains[family.model] = found.gain(best) / best
    if not gains:
        return "No model is left that more time is likely to help."
    model = max(gains, key=lambda name: gains[name])
    if gains[model] < LITTLE:
        return (
            f"More time would likely bring little: {gains[model]:.1%} by the next trial of {model}."
        )
    return f"More time would likely help: the next trial of {model} alone is expected to add {gains[model]:.1%}."


def _listed(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def family_rows(families: Sequence[Family]) -> list[dict[str, Any]]:
    """Return a row for each family: what it reached, what it cost, and why it got no more time."""
    rows = []
    for family in families:
        seen = family.seen
        rows.append(
            {
                "model": family.model,
                "study": family.stored.definition.name,
                "best": seen.best,
                "trials": len(seen.ended),
                "unfinished": len(seen.unfinished),
                "seconds": round(seen.seconds, 1),
                "turns": family.turns,
                "left": family.left,
            }
        )
    return rows

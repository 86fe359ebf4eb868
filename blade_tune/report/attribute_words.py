"""Attributes of studies and trials in words, for pages that would show what programs store of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from blade_tune.report.section import interval, plural, shown
from blade_tune.report.theme import valid
from blade_tune.storage.spending import UNLIMITED, Limit
from blade_tune.storage.trial_record import ATTRIBUTES, METRIC_PREFIX, EndReason, TrialRecord
from blade_tune.study.verdict import Verdict
from blade_tune.study.warm_start import origin_words

REASONS = {
    EndReason.PRUNED: "it was pruned",
    EndReason.PAUSED: "it is paused, and goes on if it is promoted",
    EndReason.INVALID: "its settings contradict each other",
    EndReason.OUT_OF_MEMORY: "memory ran out",
    EndReason.NOT_FINITE: "a loss or a weight was not finite",
    EndReason.ERROR: "an error",
    EndReason.TIMEOUT: "it took longer than a trial may",
    EndReason.INTERRUPTED: "it was interrupted; a later trial continues it",
    EndReason.BUDGET: "the study's budget was spent",
    EndReason.LOST: "its worker was lost; a later trial continues it",
    EndReason.SUPERSEDED: "another worker continues it in a later trial",
}
# Attributes of trials that people want -> what they are called, in the order in which a page has them
TRIAL_WORDS = {
    TrialRecord.reason.name: "why it ended",
    TrialRecord.message.name: "message",
    TrialRecord.metadata.name: "taken from",
    TrialRecord.replicate.name: "earlier trials of this configuration",
    TrialRecord.best_epoch.name: "best epoch",
    TrialRecord.epochs.name: "epochs",
    TrialRecord.seconds.name: "seconds of training",
    TrialRecord.num_parameters.name: "parameters",
    TrialRecord.paired.name: "above the untuned baseline",
    TrialRecord.seed.name: "seed",
    TrialRecord.device.name: "device",
}
MAX_LENGTH = 120  # of what other programs have stored


def study_words(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return what a study is and has found, from its user attributes; these as text if blade-tune did not make it."""
    if "definition" not in attributes or "fingerprint" not in attributes:
        return {name: str(value) for name, value in attributes.items()}
    return dict(_study_words(attributes))


def _study_words(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield five rows, which is what optuna-dashboard shows without turning a page."""
    definition, identity = attributes["definition"], attributes["fingerprint"]
    metric = identity["objective"]["metric"]
    what = f"{definition['model']} on {definition['data']['name']}, by {valid(metric)}"
    limit, budget = attributes.get("limit"), attributes.get("budget")
    if limit:
        what += f", {Limit(**limit)}"
    elif budget and budget < UNLIMITED:
        what += f", {plural(budget, 'trial')}"
    yield "search", what
    yield from _winner_words(attributes)
    measured = attributes.get("baselines", {}).get("metrics", {})
    figures = [f"{name} {shown(each[metric])}" for name, each in measured.items() if metric in each]
    if figures:
        yield "untuned baselines", ", ".join(figures)
    opened = "ledger" in attributes
    yield "test rows", "see the page Note, and the ledger" if opened else "never opened"


def _winner_words(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    confirmation, made = attributes.get("confirmation"), attributes.get("confirmations")
    if not confirmation or not made:
        yield "winner", "not confirmed"
        return
    last = made[-1]
    words = (
        f"trial {last['winner']}, {shown(last['mean'])} on {plural(last['seeds'], 'fresh seed')}"
    )
    if expected := confirmation.get("expected"):
        ends = interval(expected["low"], expected["high"])
        words += f"; for other users expect {shown(expected['mean'])} ({ends})"
    yield "winner", words
    if verdict := confirmation.get("verdict"):
        yield "beside the baseline", str(Verdict(**verdict))


def trial_words(attributes: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return a trial's user attributes as people want them, from and in the form that optuna-dashboard sends.

    Left out are those that only programs read; those of other programs stay as they are if they are short.
    """
    texts = {each["key"]: each["value"] for each in attributes}
    words = {}
    for name, called in TRIAL_WORDS.items():
        if name in texts and (text := _trial_text(name, texts[name])):
            words[called] = text
    for name, text in texts.items():
        if name.startswith(METRIC_PREFIX):
            words[_metric_name(name)] = f"{float(text):.4f}"
        elif name not in ATTRIBUTES and len(text) <= MAX_LENGTH:
            words[name] = text
    return [{"key": name, "value": text} for name, text in words.items()]


def _trial_text(name: str, text: str) -> str:
    """Return the text of a trial's attribute; empty if it says nothing."""
    if name == TrialRecord.reason.name:
        return REASONS.get(EndReason(text), text) if text in [*EndReason] else text
    if name == TrialRecord.replicate.name:
        return "" if text == "0" else text
    if name == TrialRecord.seconds.name:
        return f"{float(text):.1f}"
    # Longer ones come cut, and are then no JSON any more
    with suppress(ValueError, LookupError, TypeError):
        if name == TrialRecord.paired.name:
            return f"{json.loads(text)['difference']:+.4f}"
        if name == TrialRecord.metadata.name:
            return origin_words(json.loads(text))
    return "" if name in (TrialRecord.paired.name, TrialRecord.metadata.name) else text


def _metric_name(name: str) -> str:
    return valid(name.removeprefix(METRIC_PREFIX))


def columns(union: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the columns of a table of trials by the names that `trial_words` gives, from those by stored names."""
    sortable = {each["key"]: each["sortable"] for each in union}
    called = {name: words for name, words in TRIAL_WORDS.items() if name in sortable}
    for name in sortable:
        if name.startswith(METRIC_PREFIX):
            called[name] = _metric_name(name)
        elif name not in ATTRIBUTES:
            called[name] = name
    numbers = (TrialRecord.paired.name,)
    return [
        {"key": words, "sortable": sortable[name] or name in numbers}
        for name, words in called.items()
    ]

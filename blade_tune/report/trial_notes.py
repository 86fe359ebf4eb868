"""Notes on the trials that people ask about: the best ones, confirmed ones, the exported one, and failures.

A trial that has a note once always has one, for what it says is of the past; so no note of ours goes stale.
"""

from collections import defaultdict
from datetime import datetime
from itertools import pairwise

from optuna.trial import FrozenTrial, TrialState

from blade_tune.report.attribute_words import REASONS
from blade_tune.report.escaping import escape_markdown
from blade_tune.report.exported_figures import exports, read_exported
from blade_tune.report.section import interval, plural
from blade_tune.report.theme import valid
from blade_tune.selection.confirm import load_confirmation
from blade_tune.storage.trial_record import EndReason, TrialRecord
from blade_tune.study.stored import StoredStudy

FAILURES = (
    EndReason.ERROR,
    EndReason.NOT_FINITE,
    EndReason.OUT_OF_MEMORY,
    EndReason.TIMEOUT,
)
MAX_FAILURES = 20  # that have a note, the first ones


def trial_notes(stored: StoredStudy) -> dict[int, str]:
    """Return notes in Markdown by number of the trial."""
    lines: defaultdict[int, list[str]] = defaultdict(list)
    for add in (_add_bests, _add_confirmed, _add_exported, _add_failures):
        add(stored, lines)
    return {number: "\n\n".join(each) + "\n" for number, each in lines.items()}


def _add_bests(stored: StoredStudy, lines: dict[int, list[str]]) -> None:
    """Say of each trial that was the best when it ended which one passed it."""
    metric = valid(stored.definition.objective.metric)
    bests: list[FrozenTrial] = []
    done = [trial for trial in stored.trials if trial.state == TrialState.COMPLETE]
    for trial in sorted(done, key=lambda each: each.datetime_complete or datetime.max):
        if not bests or (trial.value or 0.0) > (bests[-1].value or 0.0):
            bests.append(trial)
    for earlier, later in pairwise(bests):
        passed = f"trial {later.number} passed it with {later.value:.4f}"
        lines[earlier.number].append(
            f"The best of the search when it ended, {metric} {earlier.value:.4f}; {passed}."
        )
    for last in bests[-1:]:
        lines[last.number].append(f"**The best of the search**, {metric} {last.value:.4f}.")


def _add_confirmed(stored: StoredStudy, lines: dict[int, list[str]]) -> None:
    """Say what fresh seeds said of a trial's configuration."""
    confirmation = load_confirmation(stored)
    if confirmation is None:
        return
    for candidate in confirmation.candidates:
        estimate = candidate.estimate
        words = f"On {plural(estimate.num, confirmation.over)}: {estimate.mean:.4f}"
        if ends := interval(estimate.low, estimate.high):
            words += f" ({ends})"
        words += f", the best of the confirmed with probability {candidate.prob_best:.2f}."
        if candidate is confirmation.winner:
            words = f"**The winner.** {words}"
            if confirmation.expected:
                words += f" For other users expect {confirmation.expected}."
            if confirmation.verdict:
                words += f" It is {confirmation.verdict}."
        lines[candidate.trial].append(words)
    now = {candidate.trial for candidate in confirmation.candidates}
    for entry in confirmation.made:
        for number in entry["trials"]:
            if number not in now:
                now.add(number)
                lines[number].append(
                    f"A candidate of the confirmation of {entry['time'][:10]}, not of the last."
                )


def _add_exported(stored: StoredStudy, lines: dict[int, list[str]]) -> None:
    """Say of an exported trial what it reaches on test rows, if its bundle is still here."""
    found = read_exported(stored)
    for number in dict.fromkeys(entry["trial"] for entry in exports(stored)):
        words = "**Exported**, for which the test rows were opened."
        if found and found.trial == number:
            low, high = found.interval
            ends = f" ({interval(low, high)})" if low is not None else ""
            words += f" Test {found.metric.upper()} {found.figure:.4f}{ends}"
            words += f", {found.words}." if found.words else "."
        lines[number].append(words)


def _add_failures(stored: StoredStudy, lines: dict[int, list[str]]) -> None:
    """Say of a failed trial why it failed."""
    failed = [
        trial
        for trial in stored.trials
        if TrialRecord(trial).get(TrialRecord.reason, "") in FAILURES and trial.state.is_finished()
    ]
    for trial in failed[:MAX_FAILURES]:
        record = TrialRecord(trial)
        words = f"Ended without a score: {REASONS[EndReason(record.reason)]}."
        if message := record.get(TrialRecord.message):
            words += f" {escape_markdown(message)}"
        lines[trial.number].append(words)

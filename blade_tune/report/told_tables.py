"""Winners under another `target_set` than their study's, as rows and footnotes of tables."""

from collections.abc import Mapping, Sequence

from blade_tune.choices import TargetSet
from blade_tune.metrics import by_cutoff
from blade_tune.report import Row
from blade_tune.report.text_tables import Cell, Table
from blade_tune.selection.comparison import Told
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.protocol import told_of
from blade_tune.selection.scores import EvaluatedPart, Scores
from blade_tune.selection.statistics import Comparison

SHOWN = by_cutoff(5, 10)


def told_columns(told: Told) -> Row:
    """Return what a row on a model under another target set has besides its figures."""
    return {
        "target_set": told.target_set,
        "told_target_set": told.target_set == "truth",
        **_difference("told_change", told.change, told.change_p),
        "rival": told.rival,
        **_difference("from_rival", told.distance, told.distance_p),
    }


def told_notes(told: Sequence[Told], metric: str) -> list[str]:
    """Return footnotes on what models were told in the rows of other target sets, and on what that changed."""
    if not told:
        return []
    words = dict.fromkeys(f"told {each.target_set}: {each.words}" for each in told)
    changes = "; ".join(f"{each.label} {_words(each.change, each.change_p)}" for each in told)
    notes = [
        *words,
        f"rows with another target set are the same runs, ranked again; {metric.upper()} minus that under the study's "
        f"own (paired bootstrap over users and seeds, 95%, Holm over {len(told)}): {changes}",
    ]
    distances = "; ".join(
        f"{each.label} {_words(each.distance, each.distance_p)}"
        for each in told
        if each.distance and each.distance_p is not None
    )
    if distances:
        notes.append(
            f"minus {told[0].rival}, the best here of the models that take no target set, likewise: {distances}"
        )
    return notes


def told_table(
    confirmation: Confirmation, part: EvaluatedPart, scores: Mapping[TargetSet, Scores]
) -> Table:
    """Return the table of a confirmed winner under several target sets.

    Args:
        confirmation: the winner's confirmation.
        part: the rows that were ranked.
        scores: target set -> the scores under it.
    """
    catalog = confirmation.runs.data(None).catalog
    notes = [f"told {target_set}: {told_of(target_set, catalog)}" for target_set in scores]
    label = f"trial {confirmation.winner.trial}"
    rows = []
    for target_set, found in scores.items():
        estimates = [found.estimate(metric) for metric in SHOWN]
        rows.append((f"told {target_set}", [Cell(each.mean, each.sd) for each in estimates]))
    columns = ["", *(metric.upper() for metric in SHOWN)]
    return Table(columns, rows, f"{label}: {part} figures by what it is told", notes)


def told_facts(scores: Mapping[TargetSet, Scores]) -> Row:
    """Return the figures of a winner under several target sets as plain data: mean, deviation and interval."""
    return {
        target_set: {metric: vars(found.estimate(metric)) for metric in SHOWN}
        for target_set, found in scores.items()
    }


def _difference(name: str, found: Comparison | None, p_adjusted: float | None) -> Row:
    return {
        name: found.difference if found else None,
        f"{name}_low": found.low if found else None,
        f"{name}_high": found.high if found else None,
        f"{name}_p_holm": p_adjusted,
    }


def _words(found: Comparison, p_adjusted: float) -> str:
    return (
        f"{found.difference:+z.4f} ({found.low:+z.4f} to {found.high:+z.4f}, p = {p_adjusted:.2g})"
    )

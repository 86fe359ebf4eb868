"""Winners under another `target_set` than their study's, as rows and footnotes of tables."""

from collections.abc import Mapping, Sequence

from blade_tune.choices import TargetSet
from blade_tune.report import Row
from blade_tune.report.score_cells import SHOWN, difference_columns, difference_words, metric_name
from blade_tune.report.text_tables import Cell, Table
from blade_tune.selection.comparison import Told
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.protocol import told_of
from blade_tune.selection.scores import EvaluatedPart, Scores


def told_columns(told: Told) -> Row:
    """Return what a row on a model under another target set has besides its figures."""
    return {
        "target_set": told.target_set,
        "told_target_set": told.target_set == "truth",
        **difference_columns("told_change", told.change, told.change_p),
        "rival": told.rival,
        **difference_columns("from_rival", told.distance, told.distance_p),
    }


def told_notes(told: Sequence[Told], metric: str) -> list[str]:
    """Return footnotes on what models were told in the rows of other target sets, and on what that changed."""
    if not told:
        return []
    words = dict.fromkeys(f"told {each.target_set}: {each.words}" for each in told)
    changes = "; ".join(
        f"{each.label} {difference_words(each.change, each.change_p)}" for each in told
    )
    notes = [
        *words,
        f"rows with another target set are the same runs, ranked again; {metric_name(metric)} minus that under the "
        f"study's own (paired bootstrap over users and seeds, 95%, Holm over {len(told)}): {changes}",
    ]
    distances = "; ".join(
        f"{each.label} {difference_words(each.distance, each.distance_p)}"
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
    columns = ["", *map(metric_name, SHOWN)]
    return Table(columns, rows, f"{label}: {part} figures by what it is told", notes)


def told_facts(scores: Mapping[TargetSet, Scores]) -> Row:
    """Return the figures of a winner under several target sets as plain data: mean, deviation and interval."""
    return {
        target_set: {metric: vars(found.estimate(metric)) for metric in SHOWN}
        for target_set, found in scores.items()
    }

"""Effects of single changes as plain rows and as a table for a paper."""

from blade_tune.report import Row
from blade_tune.report.group_tables import contrast_columns, group_means, group_notes
from blade_tune.report.score_cells import (
    LEVEL,
    SHOWN,
    difference_columns,
    estimate_row,
    metric_name,
    score_cells,
)
from blade_tune.report.text_tables import Entry, Table
from blade_tune.selection.effects import Effects
from blade_tune.selection.scores import Scores

PARTS = {"valid": "validation", "test": "test"}  # rows, in words


def effect_rows(effects: Effects) -> list[Row]:
    """Return a row for each configuration of an ablation or a sweep: the winner first, then each change of it.

    A change's row has its difference from the winner with its interval and p-value.
    """
    metric = effects.metric
    rows = [_effect_row(effects, effects.base)]
    for effect in effects.effects:
        row = _effect_row(effects, effect.scores)
        row |= difference_columns("difference", effect.comparison, effect.p_adjusted, "p_holm")
        row |= contrast_columns(effects.contrasts, effect.scores.label)
        rows.append(row)

    # Columns on other metrics and on groups of users come last in every row
    all_scores = [effects.base, *(effect.scores for effect in effects.effects)]
    for row, scores in zip(rows, all_scores, strict=True):
        for name in SHOWN:
            if name != metric:
                row[name] = scores.estimate(name).mean
        row |= group_means(scores, effects.groups, metric)
    return rows


def _effect_row(effects: Effects, scores: Scores) -> Row:
    estimate = estimate_row(scores.estimate(effects.metric))
    part = effects.part
    return {"table": effects.title, "part": part, "configuration": scores.label, **estimate}


def effect_table(effects: Effects, protocol: str) -> Table:
    """Return the table of an ablation or a sweep for a paper, in which significant changes are marked.

    Args:
        effects: the winner and the changes of it.
        protocol: the line of the search's protocol, for a footnote.
    """
    base = effects.base
    rows: list[tuple[str, list[Entry]]] = [(base.label, score_cells(base, effects.metric, ""))]
    for effect in effects.effects:
        mark = "*" if effect.p_adjusted < LEVEL else ""
        rows.append((effect.scores.label, score_cells(effect.scores, effects.metric, mark)))
    return Table(
        columns=["", *map(metric_name, SHOWN)],
        rows=rows,
        caption=f"{effects.title}: {PARTS[effects.part]} figures, {_over_seeds(effects.num_seeds)}",
        footnotes=[
            f"* differs from trial {effects.trial} by {metric_name(effects.metric)} (paired bootstrap over users and "
            f"seeds, Holm over {len(effects.effects)}, p < {LEVEL})",
            _owed_note(effects),
            *group_notes(
                effects.groups, effects.contrasts, f"trial {effects.trial}", effects.metric
            ),
            protocol,
        ],
    )


def _owed_note(effects: Effects) -> str:
    """Return the footnote on what the winner may owe to having been chosen on the rows of the table."""
    winner = f"trial {effects.trial}"
    if effects.part == "test":
        return f"{winner} was chosen on validation rows, and test rows chose nothing"
    if not effects.owed:
        return f"{winner} was chosen on these users and seeds, which favors it"
    return (
        f"{winner} was chosen on these users and seeds, to which it owes up to {effects.owed:.4f} (out of bag): "
        "intervals and p-values hold for any part of that"
    )


def _over_seeds(count: int) -> str:
    return "one run each" if count == 1 else f"mean ± sd over {count} shared seeds"

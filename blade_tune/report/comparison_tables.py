"""Comparisons of models, and what they cost, as plain rows and as a table for a paper."""

from collections.abc import Sequence
from pathlib import Path

from blade_tune.report import Row
from blade_tune.report.group_tables import contrast_columns, group_means, group_notes
from blade_tune.report.score_cells import (
    LEVEL,
    SHOWN,
    difference_columns,
    mean_and_sd,
    metric_name,
    score_cells,
)
from blade_tune.report.section import plural
from blade_tune.report.text_tables import Cell, Entry, Table
from blade_tune.report.told_tables import told_columns, told_notes
from blade_tune.selection.comparison import Comparisons, Contender, Pair
from blade_tune.selection.cost import Cost
from blade_tune.selection.expectation import expected_of_scores
from blade_tune.selection.moves import CHANGES, moves_words
from blade_tune.selection.power import ENOUGH, smallest_difference
from blade_tune.selection.published_tables import published_differences
from blade_tune.selection.saturation import budget_note, budget_row
from blade_tune.selection.scores import Scores
from blade_tune.storage.spending import words_of
from blade_tune.training.baselines import REFERENCE


def comparison_rows(comparisons: Comparisons) -> list[Row]:
    """Return a row for each model and each untuned baseline of a comparison, the best first.

    A model's row has its figures, what it is told of the item to predict, the cost of its search, and its difference
    from the reference, the model of all contrasts or else the best, with its interval and p-value.
    """
    rows = [_entry_row(entry, comparisons) for entry in comparisons.entries]
    for told in comparisons.told:
        figures: Row = {}
        for metric in SHOWN:
            figures |= mean_and_sd(told.scores, metric)
        rows.append(
            {
                "model": told.label,
                **figures,
                "part": comparisons.part,
                "seeds": len(told.scores.ranks_SU),
                **told_columns(told),
            }
        )
    # Baselines have figures only
    for name, reached in comparisons.baselines.items():
        known = {metric: reached.get(metric) for metric in SHOWN}
        rows.append({"model": name, **known, "part": comparisons.part})
    return sorted(rows, key=lambda row: -_reached(comparisons, row["model"]))


def _entry_row(entry: Contender, comparisons: Comparisons) -> Row:
    """Return the row of a model."""
    figures: Row = {}
    for metric in SHOWN:
        figures |= mean_and_sd(entry.scores, metric)
        # Test rows chose nothing, so each figure of theirs has an interval.
        if comparisons.part == "test":
            figures |= _interval(entry.scores, metric)
    return {
        "model": entry.label,
        **_expected(entry),
        **figures,
        **group_means(entry.scores, comparisons.groups, comparisons.metric),
        "part": comparisons.part,
        "seeds": len(entry.scores.ranks_SU),
        "loss": entry.loss,
        "target_set": entry.target_set,
        "told_target_set": entry.target_set == "truth",
        **{name: round(value, 4) for name, value in entry.spent.items()},
        **budget_row(entry.study, entry.course),
        "enqueued": ",".join(entry.enqueued) or None,
        "rising_runs": entry.num_rising,
        "trial": entry.winner.trial,
        **{f"moves.{name}": entry.moves.get(name) for name in CHANGES},
        **_difference(comparisons, comparisons.with_reference.get(entry.label)),
        **contrast_columns(comparisons.group_contrasts, entry.label),
        "verdict": str(entry.verdict) if entry.verdict else None,
        "warning": entry.warning(comparisons.metric) or None,
    }


def _difference(comparisons: Comparisons, pair: Pair | None) -> Row:
    """Return the columns of a model's difference from the reference; None in the reference's own row."""
    found, p_adjusted = (pair.comparison, pair.p_adjusted) if pair else (None, None)
    return {
        "compared_with": comparisons.reference if pair else None,
        **difference_columns("difference", found, p_adjusted, "p_holm"),
    }


def _reached(comparisons: Comparisons, name: str) -> float:
    """Return the mean of a model or a baseline in the metric of a comparison."""
    if name in comparisons.baselines:
        return comparisons.baselines[name][comparisons.metric]
    scores = {entry.label: entry.scores for entry in comparisons.entries}
    scores |= {told.label: told.scores for told in comparisons.told}
    return scores[name].estimate(comparisons.metric).mean


def comparison_table(comparisons: Comparisons, uneven: Sequence[str]) -> Table:
    """Return the table of a comparison for a paper, the best model or baseline first.

    Args:
        comparisons: the compared models.
        uneven: sentences on budgets that are not equal, for footnotes.
    """
    differing = {
        model for model, pair in comparisons.with_reference.items() if pair.p_adjusted < LEVEL
    }

    # Rows with the figure by which they are sorted: models, and untuned baselines, which have no cost
    rows: list[tuple[float, str, list[Entry]]] = []
    for entry in comparisons.entries:
        mark = "*" if entry.label in differing else ""
        entries = [
            str(entry.expected or ""),
            *score_cells(entry.scores, comparisons.metric, mark),
            *_cost_entries(entry),
        ]
        rows.append((_reached(comparisons, entry.label), _label(entry, comparisons), entries))
    for told in comparisons.told:
        reached = _reached(comparisons, told.label)
        cells = score_cells(told.scores, comparisons.metric, "")
        rows.append((reached, told.label, ["", *cells, "", "", "", ""]))
    for name, figures in comparisons.baselines.items():
        known = [Cell(figures[metric]) if metric in figures else "" for metric in SHOWN]
        rows.append((figures[comparisons.metric], name, ["", *known, "", "", "", ""]))
    rows.sort(key=lambda row: -row[0])

    seeds = max(len(entry.scores.ranks_SU) for entry in comparisons.entries)
    return Table(
        columns=[
            "model",
            f"expected {metric_name(comparisons.metric)}, 95%",
            *map(metric_name, SHOWN),
            *("loss", "trials", "epochs", words_of(comparisons.entries[0].hours_unit)),
        ],
        rows=[(label, entries) for _, label, entries in rows],
        caption=f"{comparisons.part} figures of confirmed winners, mean ± sd over {plural(seeds, 'seed')}",
        footnotes=_footnotes(comparisons, uneven),
    )


def least_of(comparisons: Comparisons) -> list[str]:
    """Return the columns of a comparison's table that a narrow screen can do without, the least important first."""
    cost = [words_of(comparisons.entries[0].hours_unit), "epochs", "trials", "loss"]
    figures = [metric_name(metric) for metric in SHOWN if metric != comparisons.metric]
    return [*cost, *figures]


def _footnotes(comparisons: Comparisons, uneven: Sequence[str]) -> list[str]:
    """Return what the marks and columns of a comparison's table mean, and how its figures were made."""
    reference = comparisons.reference
    return [
        f"* differs from {reference} by {metric_name(comparisons.metric)} (paired bootstrap over users and seeds, "
        f"Holm over {plural(len(comparisons.pairs), 'pair')}, p < {LEVEL})",
        *_contrast_notes(comparisons),
        _expectation_note(comparisons),
        f"† {comparisons.told_words}",
        *told_notes(comparisons.told, comparisons.metric),
        "loss: bce is binary cross-entropy with one sampled negative, ce cross-entropy over all items",
        f"‡ not above {REFERENCE}: the interval of the expected figure minus that of the untuned baseline, paired "
        "by user, does not lie above 0 (95%)",
        *(f"! {words}" for words in comparisons.warnings),
        *_left_out(comparisons),
        *_moves(comparisons),
        *map(_search_note, comparisons.entries),
        *comparisons.doubts,
        *_power_notes(comparisons),
        "a model without epochs is fitted at once; one without sd is the same on every seed",
        "trials, epochs and hours are those of the search; every winner was chosen on validation rows",
        *group_notes(
            comparisons.groups, comparisons.group_contrasts, reference, comparisons.metric
        ),
        *(f"budgets are not equal: {line}" for line in uneven),
        comparisons.protocol,
    ]


def _power_notes(comparisons: Comparisons) -> list[str]:
    """Return footnotes on how large a difference must be to be found, and on published ones that are smaller."""
    plan, metric = comparisons.plan, metric_name(comparisons.metric)
    least = smallest_difference(comparisons.noise, plan)
    notes = [
        f"power: a difference of {least:.4f} in {metric} is found with a chance of {ENOUGH:.0%} ({plan.users:,} users, "
        f"{plural(plan.seeds, 'seed')}, {plural(plan.pairs, 'pair')}); a smaller one is mostly undecidable here"
    ]
    data = comparisons.entries[0].study.definition.data.name
    models = [entry.label for entry in comparisons.entries]
    shown = {frozenset((pair.first, pair.second)) for pair in comparisons.pairs}
    for published in published_differences(data, comparisons.metric, models):
        if frozenset((published.first, published.second)) in shown:
            decidable = "decidable" if abs(published.difference) >= least else "undecidable"
            notes.append(
                f"published by {published.source}: {published.first} minus {published.second} "
                f"{published.difference:+.4f}, {decidable} here"
            )
    return notes


def _contrast_notes(comparisons: Comparisons) -> list[str]:
    """Return footnotes on contrasts that were named before: when, and the difference of each."""
    contrasts = comparisons.contrasts
    if contrasts is None:
        return []
    known = "before any trial was scored"
    if contrasts.scored:
        known = f"after {plural(contrasts.scored, 'trial')} had been scored"
    if contrasts.opened:
        known += f" and the test rows opened {plural(contrasts.opened, 'time')}"
    notes = [f"contrasts with {contrasts.against} were named on {contrasts.when[:10]}, {known}"]
    if contrasts.others:
        notes.append(f"other contrasts that were named in the same ledger: {contrasts.others}")
    for model, pair in comparisons.with_reference.items():
        found = pair.comparison
        notes.append(
            f"{model} minus {contrasts.against}: {found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}), "
            f"p = {pair.p_adjusted:.3f} after Holm"
        )
    return notes


def _expectation_note(comparisons: Comparisons) -> str:
    """Return the footnote on the first column."""
    if comparisons.part == "test":
        return "expected: the mean with its interval over users and seeds; test rows chose nothing"
    return (
        "expected: for other users and seeds, out of bag (the choice made again on resampled users); figures of the "
        "users at hand, which chose the winners, stand beside it, and differences allow for what they owe to that"
    )


def _cost_entries(entry: Contender) -> list[Entry]:
    """Return a model's loss, and the trials, epochs and hours of its search; no epochs if it is fitted at once."""
    spent = entry.spent
    epochs = "" if entry.study.definition.is_fitted else f"{spent['epochs']:g}"
    return [entry.loss, f"{spent['trials']:g}", epochs, f"{entry.hours:.2f}"]


def _search_note(entry: Contender) -> str:
    """Return sentences on a model's search: why it ended, what it tried first, and whether its winner still rose."""
    notes = [budget_note(entry.study, entry.course)]
    if entry.enqueued:
        notes.append(f"Tried first: {', '.join(entry.enqueued)}.")
    if entry.num_rising:
        epochs = entry.study.definition.train.max_epochs
        runs = plural(len(entry.scores.ranks_SU), "run")
        notes.append(f"{entry.num_rising} of its {runs} rose up to the last of {epochs} epochs.")
    return " ".join(notes)


def _label(entry: Contender, comparisons: Comparisons) -> str:
    """Return a model's name with the marks that the footnotes of `comparison_table` explain."""
    label = entry.label
    if entry.target_set:
        label += " †"
    if entry.verdict and not entry.verdict.is_above:
        label += " ‡"
    if entry.warning(comparisons.metric):
        label += " !"
    return label


def _left_out(comparisons: Comparisons) -> list[str]:
    """Return footnotes on baselines that are absent, and on windows whose figures do not compare."""
    notes = [
        f"{name} was not measured untuned: {why}" for name, why in comparisons.left_out.items()
    ]
    if len(comparisons.windows) > 1:
        windows = ", ".join(f"{entry.label} {entry.window}" for entry in comparisons.entries)
        notes.append(
            f"windows differ ({windows}), and items of a model's own window are not ranked for it"
        )
    return notes


def _moves(comparisons: Comparisons) -> list[str]:
    """Return a footnote for each model on how far changed inputs move its trained states or scores."""
    notes = []
    for entry in comparisons.entries:
        words = moves_words(entry.moves, is_fitted=entry.study.definition.is_fitted)
        notes.append(f"{entry.label}: {words}")
    return notes


def _interval(scores: Scores, metric: str) -> Row:
    expected = expected_of_scores(scores, metric)
    return {f"{metric} low": expected.low, f"{metric} high": expected.high}


def _expected(entry: Contender) -> Row:
    expected = entry.expected
    return {
        "expected": expected and expected.mean,
        "expected_low": expected and expected.low,
        "expected_high": expected and expected.high,
    }


def cost_rows(costs: Sequence[Cost]) -> list[Row]:
    """Return a row for each model's estimated cost in seconds (`_s`) and hours, and a last row with sums."""
    rows: list[Row] = [
        {
            "model": cost.model,
            "loss": cost.loss,
            "space": Path(cost.space).stem,
            "free": cost.free,
            "trials_left": cost.trials_left,
            "budget_left": cost.budget_left,
            "runs_left": cost.runs_left,
            "epoch_s": round(cost.epoch_s, 3),
            "evaluation_s": round(cost.evaluation_s, 3),
            "epochs_at_most": cost.epochs_at_most,
            "hours_at_most": round(cost.hours_at_most, 2),
        }
        for cost in costs
    ]
    total: Row = {"model": "all"}
    for name in ("trials_left", "runs_left", "epochs_at_most", "hours_at_most"):
        total[name] = round(sum(row[name] or 0 for row in rows), 2)
    return [*rows, total]

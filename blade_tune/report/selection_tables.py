"""Confirmations, effects of single changes, and comparisons of models, as plain rows and as tables for a paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from blade_tune.metrics import by_cutoff
from blade_tune.report import Row
from blade_tune.report.group_tables import contrast_columns, group_means, group_notes
from blade_tune.report.section import plural
from blade_tune.report.text_tables import Cell, Entry, Table, latex, markdown
from blade_tune.report.told_tables import told_columns, told_notes
from blade_tune.selection.comparison import Comparisons, Contender
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.cost import Cost
from blade_tune.selection.effects import Effects
from blade_tune.selection.scores import Scores, load_scores
from blade_tune.selection.statistics import Estimate
from blade_tune.storage.folder import write_text
from blade_tune.training.baselines import REFERENCE
from blade_tune.trial.curves import as_csv

SHOWN = by_cutoff(5, 10)  # as in BLADE, Table 1
LEVEL = 0.05


def confirmation_rows(confirmation: Confirmation) -> list[Row]:
    """Return a row for each candidate, the winner first, whose interval is also given corrected for its selection."""
    rows = []
    for candidate in confirmation.candidates:
        is_winner = candidate is confirmation.winner
        corrected_low, corrected_high = confirmation.winner_interval if is_winner else (None, None)
        rows.append(
            {
                "trial": candidate.trial,
                "search": candidate.search_value,
                **_estimate(candidate.estimate),
                "corrected_low": corrected_low,
                "corrected_high": corrected_high,
                "prob_best": candidate.prob_best,
                "inflation": candidate.inflation,
                "num_parameters": candidate.num_parameters,
                "seconds_per_epoch": round(candidate.seconds_per_epoch, 3),
            }
        )
    return rows


def confirmation_words(confirmation: Confirmation) -> list[str]:
    """Return sentences on what a confirmation found, which claim no more than it supports."""
    winner, (low, high) = confirmation.winner, confirmation.winner_interval
    estimate, metric = winner.estimate, confirmation.metric
    words = [
        f"Trial {winner.trial} has the highest mean: valid {metric} {estimate.mean:.4f} over "
        f"{plural(estimate.num, confirmation.over)}, where the search saw {winner.search_value:.4f}.",
        f"Its own interval carries the bias of having been chosen; corrected for that, 95%: {low:.4f} to {high:.4f}.",
    ]
    if confirmation.over == "user":
        words.append(
            "Another seed changes nothing in this model: candidates are fitted once, intervals are over users."
        )
    if confirmation.verdict:
        finding = str(confirmation.verdict)
        words.append(
            f"{finding[0].upper()}{finding[1:]}, 95% of the mean minus that of the untuned baseline."
        )
    if confirmation.warning:
        words.append(f"WARNING {confirmation.warning}")
    if confirmation.smallest is not winner:
        words.append(
            f"Trial {confirmation.smallest.trial} is smaller or faster, within one standard error (--rule 1se)."
        )
    return words


def winner_test(confirmation: Confirmation) -> Row:
    """Return the winner's test figures: the estimate of each shown metric over its runs, all of which were opened."""
    label = f"trial {confirmation.winner.trial}"
    scores = load_scores(confirmation.runs, label, confirmation.winning_runs, "test")
    return {metric: _estimate(scores.estimate(metric)) for metric in SHOWN}


def effect_rows(effects: Effects) -> list[Row]:
    """Return a row for each configuration of an ablation or a sweep: the winner first, then each change of it.

    A change's row has its difference from the winner with its interval and p-value.
    """
    metric = effects.metric
    rows = [_effect_row(effects, effects.base)]
    for effect in effects.effects:
        row = _effect_row(effects, effect.scores)
        row |= {
            "difference": effect.comparison.difference,
            "difference_low": effect.comparison.low,
            "difference_high": effect.comparison.high,
            "p_holm": effect.p_adjusted,
        }
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
    estimate = _estimate(scores.estimate(effects.metric))
    return {"table": effects.title, "configuration": scores.label, **estimate}


def effect_table(effects: Effects, protocol: str) -> Table:
    """Return the table of an ablation or a sweep for a paper, in which significant changes are marked.

    Args:
        effects: the winner and the changes of it.
        protocol: the line of the search's protocol, for a footnote.
    """
    base = effects.base
    rows: list[tuple[str, list[Entry]]] = [(base.label, _cells(base, effects.metric, ""))]
    for effect in effects.effects:
        mark = "*" if effect.p_adjusted < LEVEL else ""
        rows.append((effect.scores.label, _cells(effect.scores, effects.metric, mark)))
    return Table(
        columns=["", *map(metric_name, SHOWN)],
        rows=rows,
        caption=f"{effects.title}: validation figures, {_over_seeds(effects.num_seeds)}",
        footnotes=[
            f"* differs from trial {effects.trial} by {metric_name(effects.metric)} (paired bootstrap over users and "
            f"seeds, Holm over {len(effects.effects)}, p < {LEVEL})",
            f"trial {effects.trial} was chosen on these seeds, which favors it a little",
            *group_notes(
                effects.groups, effects.contrasts, f"trial {effects.trial}", effects.metric
            ),
            protocol,
        ],
    )


def _over_seeds(count: int) -> str:
    return "one run each" if count == 1 else f"mean ± sd over {count} shared seeds"


def comparison_rows(comparisons: Comparisons) -> list[Row]:
    """Return a row for each model and each untuned baseline of a comparison, the best first.

    A model's row has its figures, what it is told of the item to predict, the cost of its search, and its distance from
    the best model with its p-value.
    """
    # Entries are sorted, the best first; the others are compared with it
    best = comparisons.entries[0].model
    against_best = {pair.second: pair for pair in comparisons.pairs if pair.first == best}
    rows: list[Row] = []
    for entry in comparisons.entries:
        pair = against_best.get(entry.model)
        figures: Row = {}
        for metric in SHOWN:
            figures |= _mean_and_sd(entry.scores, metric)
        rows.append(
            {
                "model": entry.model,
                **figures,
                **group_means(entry.scores, comparisons.groups, comparisons.metric),
                "part": comparisons.part,
                "seeds": len(entry.scores.ranks_SU),
                "loss": entry.loss,
                "target_set": entry.target_set,
                "told_target_set": entry.target_set == "truth",
                **{name: round(value, 4) for name, value in entry.spent.items()},
                "trial": entry.winner.trial,
                "behind_best": pair.comparison.difference if pair else None,
                "p_holm": pair.p_adjusted if pair else None,
                **contrast_columns(comparisons.contrasts, entry.model),
                "verdict": str(entry.verdict) if entry.verdict else None,
                "warning": entry.warning(comparisons.metric) or None,
            }
        )

    for told in comparisons.told:
        figures = {}
        for metric in SHOWN:
            figures |= _mean_and_sd(told.scores, metric)
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


def _reached(comparisons: Comparisons, name: str) -> float:
    """Return the mean of a model or a baseline in the metric of a comparison."""
    if name in comparisons.baselines:
        return comparisons.baselines[name][comparisons.metric]
    scores = {entry.model: entry.scores for entry in comparisons.entries}
    scores |= {told.label: told.scores for told in comparisons.told}
    return scores[name].estimate(comparisons.metric).mean


def comparison_table(comparisons: Comparisons, uneven: Sequence[str]) -> Table:
    """Return the table of a comparison for a paper, the best model or baseline first.

    Args:
        comparisons: the compared models.
        uneven: sentences on budgets that are not equal, for footnotes.
    """
    best = comparisons.entries[0].model
    worse = {p.second for p in comparisons.pairs if p.first == best and p.p_adjusted < LEVEL}

    # Rows with the figure by which they are sorted: models, and untuned baselines, which have no cost
    rows: list[tuple[float, str, list[Entry]]] = []
    for entry in comparisons.entries:
        mark = "*" if entry.model in worse else ""
        entries = [*_cells(entry.scores, comparisons.metric, mark), *_cost_entries(entry)]
        rows.append((_reached(comparisons, entry.model), _label(entry, comparisons), entries))
    for told in comparisons.told:
        reached = _reached(comparisons, told.label)
        cells = _cells(told.scores, comparisons.metric, "")
        rows.append((reached, told.label, [*cells, "", "", "", ""]))
    for name, figures in comparisons.baselines.items():
        known = [Cell(figures[metric]) if metric in figures else "" for metric in SHOWN]
        rows.append((figures[comparisons.metric], name, [*known, "", "", "", ""]))
    rows.sort(key=lambda row: -row[0])

    seeds = max(len(entry.scores.ranks_SU) for entry in comparisons.entries)
    return Table(
        columns=["model", *map(metric_name, SHOWN), "loss", "trials", "epochs", "hours"],
        rows=[(label, entries) for _, label, entries in rows],
        caption=f"{comparisons.part} figures of confirmed winners, mean ± sd over {seeds} seeds",
        footnotes=[
            f"* worse than {best} by {metric_name(comparisons.metric)} (paired bootstrap over users and seeds, Holm "
            f"over {len(comparisons.pairs)} pairs, p < {LEVEL})",
            f"† {comparisons.told_words}",
            *told_notes(comparisons.told, comparisons.metric),
            "loss: bce is binary cross-entropy with one sampled negative, ce cross-entropy over all items",
            f"‡ not above {REFERENCE}: the interval of the mean minus that of the untuned baseline, paired by user, "
            "does not lie above 0 (95%, corrected for the candidates that the winner was chosen from)",
            *(f"! {words}" for words in comparisons.warnings),
            *_left_out(comparisons),
            "a model without epochs is fitted at once; one without sd is the same on every seed",
            "trials, epochs and hours are those of the search; every winner was chosen on validation rows",
            *group_notes(comparisons.groups, comparisons.contrasts, best, comparisons.metric),
            *(f"budgets are not equal: {line}" for line in uneven),
            comparisons.protocol,
        ],
    )


def _cost_entries(entry: Contender) -> list[Entry]:
    """Return a model's loss, and the trials, epochs and hours of its search; no epochs if it is fitted at once."""
    spent = entry.spent
    epochs = "" if entry.study.definition.is_fitted else f"{spent['epochs']:g}"
    return [entry.loss, f"{spent['trials']:g}", epochs, f"{spent['hours']:.2f}"]


def _label(entry: Contender, comparisons: Comparisons) -> str:
    """Return a model's name with the marks that the footnotes of `comparison_table` explain."""
    label = entry.model
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
        windows = ", ".join(f"{entry.model} {entry.window}" for entry in comparisons.entries)
        notes.append(
            f"windows differ ({windows}), and items of a model's own window are not ranked for it"
        )
    return notes


def cost_rows(costs: Sequence[Cost]) -> list[Row]:
    """Return a row for each model's estimated cost in seconds (`_s`) and hours, and a last row with sums."""
    rows: list[Row] = [
        {
            "model": cost.model,
            "loss": cost.loss,
            "space": Path(cost.space).stem,
            "free": cost.free,
            "trials_left": cost.trials_left,
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
        total[name] = round(sum(row[name] for row in rows), 2)
    return [*rows, total]


def write_files(folder: Path, name: str, table: Table, rows: Sequence[Row]) -> None:
    """Write a table as NAME.md and NAME.tex, and its numbers as NAME.csv, to a folder."""
    write_text(folder / f"{name}.md", markdown(table))
    write_text(folder / f"{name}.tex", latex(table))
    write_text(folder / f"{name}.csv", as_csv(rows))


def metric_name(metric: str) -> str:
    """Return a metric's name as papers write it: "NDCG@10"."""
    return metric.upper()


def _cells(scores: Scores, marked_metric: str, mark: str) -> list[Entry]:
    """Return a cell for each shown metric, of which one has a mark."""
    cells: list[Entry] = []
    for metric in SHOWN:
        estimate = scores.estimate(metric)
        cells.append(Cell(estimate.mean, estimate.sd, mark if metric == marked_metric else ""))
    return cells


def _estimate(estimate: Estimate) -> Row:
    return {"mean": estimate.mean, "sd": estimate.sd, "low": estimate.low, "high": estimate.high}


def _mean_and_sd(scores: Scores, metric: str) -> Mapping[str, float | None]:
    estimate = scores.estimate(metric)
    return {metric: estimate.mean, f"{metric} sd": estimate.sd}

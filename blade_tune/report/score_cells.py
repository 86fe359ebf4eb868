"""Scores of configurations as the columns and cells that all tables of a choice share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from blade_tune.metrics import by_cutoff
from blade_tune.report import Row
from blade_tune.report.text_tables import Cell, Entry, Table, latex, markdown
from blade_tune.selection.scores import Scores
from blade_tune.selection.statistics import Comparison, Estimate
from blade_tune.storage.folder import write_text
from blade_tune.trial.curves import as_csv

SHOWN = by_cutoff(5, 10)  # as in BLADE, Table 1
LEVEL = 0.05


def write_files(folder: Path, name: str, table: Table, rows: Sequence[Row]) -> None:
    """Write a table as NAME.md and NAME.tex, and its numbers as NAME.csv, to a folder."""
    write_text(folder / f"{name}.md", markdown(table))
    write_text(folder / f"{name}.tex", latex(table))
    write_text(folder / f"{name}.csv", as_csv(rows))


def difference_columns(
    name: str, found: Comparison | None, p_adjusted: float | None, p_name: str | None = None
) -> Row:
    """Return the columns of a difference with its interval and corrected p-value; all None where there is none.

    Args:
        name: of the column of the difference, with which the other names begin.
        found: the difference.
        p_adjusted: its p-value, corrected for multiplicity.
        p_name: name of the column of the p-value, where it does not begin so.
    """
    return {
        name: found and found.difference,
        f"{name}_low": found and found.low,
        f"{name}_high": found and found.high,
        p_name or f"{name}_p_holm": p_adjusted,
    }


def difference_words(found: Comparison, p_adjusted: float) -> str:
    """Return a difference with its interval and corrected p-value, for a footnote."""
    return (
        f"{found.difference:+z.4f} ({found.low:+z.4f} to {found.high:+z.4f}, p = {p_adjusted:.2g})"
    )


def metric_name(metric: str) -> str:
    """Return a metric's name as papers write it: "NDCG@10"."""
    return metric.upper()


def score_cells(scores: Scores, marked_metric: str, mark: str) -> list[Entry]:
    """Return a cell for each shown metric, of which one has a mark."""
    cells: list[Entry] = []
    for metric in SHOWN:
        estimate = scores.estimate(metric)
        cells.append(Cell(estimate.mean, estimate.sd, mark if metric == marked_metric else ""))
    return cells


def estimate_row(estimate: Estimate) -> Row:
    """Return the columns of a mean with its deviation and interval."""
    return {"mean": estimate.mean, "sd": estimate.sd, "low": estimate.low, "high": estimate.high}


def mean_and_sd(scores: Scores, metric: str) -> Mapping[str, float | None]:
    """Return the columns of one of several metrics."""
    estimate = scores.estimate(metric)
    return {metric: estimate.mean, f"{metric} sd": estimate.sd}

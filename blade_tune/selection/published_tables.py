"""Differences that papers have published, to be held against what a comparison can find."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from blade_tune.spec.catalog import published_figures


@dataclass(frozen=True)
class PublishedFigure:
    """A model's test figure in one table of a paper."""

    model: str
    value: float
    source: str


@dataclass(frozen=True)
class PublishedDifference:
    """The difference of two models' test figures in one table of a paper."""

    first: str
    second: str
    difference: float  # first minus second
    source: str


def published_figures_of(data: str, metric: str) -> list[PublishedFigure]:
    """Return what was published of every model on a data set, in the order of the file.

    Args:
        data: name of the data set.
        metric: name of the metric.
    """
    with published_figures().open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == data and row.get(metric)]
    return [PublishedFigure(row["model"], float(row[metric]), row["source"]) for row in rows]


def published_differences(
    data: str, metric: str, models: Sequence[str]
) -> list[PublishedDifference]:
    """Return the published difference of each pair of models that stand in one table, the first model named first.

    Args:
        data: name of the data set.
        metric: name of the metric.
        models: names of the models.
    """
    figures: dict[str, dict[str, float]] = {}
    for figure in published_figures_of(data, metric):
        figures.setdefault(figure.source, {})[figure.model] = figure.value
    return [
        PublishedDifference(first, second, of_source[first] - of_source[second], source)
        for source, of_source in figures.items()
        for first, second in combinations([name for name in models if name in of_source], 2)
    ]

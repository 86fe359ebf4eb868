"""A part of a report, and what all parts are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import plotly.graph_objects as go

from blade_tune.report import tables, theme
from blade_tune.report.text_tables import Table
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.study.stored import StoredStudy


@dataclass(frozen=True)
class Section:
    """Words, facts, a figure and a table under a title."""

    title: str
    words: Sequence[str] = ()
    warning: str = ""
    command: str = ""  # the way out of what the warning says
    facts: Mapping[str, str] = field(default_factory=dict)
    figure: go.Figure | None = None
    is_wide: bool = False  # the figure is not legible on a phone without scrolling sideways
    table: Table | None = None
    details: Mapping[str, str] = field(default_factory=dict)  # further facts, folded away

    @property
    def anchor(self) -> str:
        """Its place in the page's address."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Study:
    """A stored study, and what several parts ask of it."""

    stored: StoredStudy

    @cached_property
    def status(self) -> dict[str, Any]:
        """As `blade-tune status` has it."""
        return tables.status(self.stored)

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """What fresh seeds said, if they were asked."""
        return load_confirmation(self.stored)

    @property
    def name(self) -> str:
        """Of the study."""
        return self.stored.definition.name

    @property
    def metric(self) -> str:
        """The study's metric, on validation rows."""
        return theme.valid(self.stored.definition.objective.metric)

    @property
    def num_completed(self) -> int:
        """Completed trials."""
        return int(self.status["trials"]["complete"])


def plural(count: int, noun: str) -> str:
    """A number with its noun: 1 trial, 2 trials."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(figure: float | str) -> str:
    """A figure to four digits, or the words that stand in its place."""
    return figure if isinstance(figure, str) else f"{figure:.4f}"


def interval(low: float | None, high: float | None) -> str:
    """An interval as text; empty where it is not known."""
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def values(configuration: Mapping[str, object]) -> dict[str, str]:
    """Settings by name, as text."""
    return {name: f"{v:.5g}" if isinstance(v, float) else str(v) for name, v in configuration.items()}

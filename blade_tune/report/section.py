"""Section of a report, the view of a study that sections are made from, and formatting of numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import plotly.graph_objects as go

from blade_tune.report import tables, theme
from blade_tune.report.exported_figures import Exported, read_exported
from blade_tune.report.text_tables import Table
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.protocol import study_protocol
from blade_tune.study.stored import StoredStudy


@dataclass(frozen=True)
class Section:
    """A part of a report: words, facts, a figure and a table under a title, any of which may be missing."""

    title: str
    words: Sequence[str] = ()  # paragraphs
    warning: str = ""
    command: str = ""  # the command that resolves what the warning is about
    facts: Mapping[str, str] = field(default_factory=dict)
    figure: go.Figure | None = None
    # Whether a phone must scroll the figure sideways, for it would not be legible if shrunk
    is_wide: bool = False
    table: Table | None = None
    details: Mapping[str, str] = field(default_factory=dict)  # further facts, folded away
    codes: Mapping[str, str] = field(default_factory=dict)  # texts to copy by name, folded away

    @property
    def anchor(self) -> str:
        """Fragment of the page's address that leads to the section."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Study:
    """A stored study, with results that several sections need and that are computed once."""

    stored: StoredStudy

    @cached_property
    def status(self) -> dict[str, Any]:
        """State of the study, as `blade-tune status` shows it."""
        return tables.status(self.stored)

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """Confirmation of the top configurations on fresh seeds; None if there was none."""
        return load_confirmation(self.stored)

    @cached_property
    def exported(self) -> Exported | None:
        """What the exported model reached on test rows; None where nothing was exported, or not here."""
        return read_exported(self.stored)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.stored.definition.name

    @property
    def metric(self) -> str:
        """Name of the study's metric on validation rows, for people."""
        return theme.valid(self.stored.definition.objective.metric)

    @cached_property
    def protocol(self) -> str:
        """Line that says how the study's figures were made."""
        return study_protocol(self.stored)

    @property
    def num_completed(self) -> int:
        """Number of completed trials."""
        return int(self.status["trials"]["complete"])


def last_end(studies: Iterable[StoredStudy]) -> str:
    """Return when the last trial of some studies ended, so that two pages can be told apart."""
    ends = [
        trial.datetime_complete
        for stored in studies
        for trial in stored.trials
        if trial.datetime_complete
    ]
    if not ends:
        return "of which no trial has ended"
    return f"the last trial of which ended {max(ends):%Y-%m-%d %H:%M}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: 1 trial, 2 trials."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(figure: float | str) -> str:
    """Return a figure with four digits after the point; text that stands in its place is returned as it is."""
    return figure if isinstance(figure, str) else f"{figure:.4f}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval as text; empty if an end is unknown."""
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def values(configuration: Mapping[str, object]) -> dict[str, str]:
    """Return a configuration's values as text, by name."""
    return {name: value_text(value) for name, value in configuration.items()}


def value_text(value: object) -> str:
    """Return a value of a configuration as text, a float with five significant digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)

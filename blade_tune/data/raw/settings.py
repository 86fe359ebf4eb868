"""Settings of a log's preparation: what its columns mean, and which items and users stay."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from blade_tune.config import Settings

MAX_BEHAVIORS = 31  # bits of a behavior set's mask
EVERY_ROW = "*"  # in place of a column: each row has the behavior
OR = re.compile(r"(?<!\\)\|")  # between alternatives; \| is the character itself

DateOrder = Literal["day", "month"]


class LogFormat(Settings):
    """Meaning of a log's columns.

    A log has either one row for each event, whose behavior a column `type` names, or one row for each interaction, with
    a column for each behavior. Without a column of times, the rows are taken to be in time order. A log of several
    files with columns of their own has a format for each, which agree in all that is not about columns.
    """

    user: str = Field(min_length=1, description="column of the user's id")
    item: str = Field(min_length=1, description="column of the item's id")
    time: str | None = Field(
        None, description="column of the time: numbers, or dates (UTC unless they say)"
    )
    type: str | None = Field(
        None, description="column that names an event's behavior; without it, a column a behavior"
    )
    session: str | None = Field(
        None, description="column whose rows of one user and item merge, in place of the time"
    )
    behaviors: tuple[str, ...] = Field(
        min_length=1, max_length=MAX_BEHAVIORS, description="names of the behaviors"
    )
    columns: tuple[str, ...] = Field(
        description="the values of `type`, or the columns, that stand for each behavior, with | between them; * for "
        "every row, nothing for a behavior that is not in this file"
    )
    thresholds: Mapping[str, FiniteFloat] = Field(
        {}, description="columns of numbers, which count from so much on: stars, seconds, plays"
    )
    seen: tuple[str, ...] = Field(
        (),
        description="the values of `type`, or the columns, by which a user only knows an item; * for all other rows",
    )
    integer_ids: bool = Field(
        False, description="whether ids must be whole numbers; else they are any text"
    )
    merges: bool = Field(
        True, description="whether rows of one user, item and time (or session) are one interaction"
    )

    keep_repeats: bool = Field(
        False, description="whether the same user, item and set at a later time stays"
    )
    rows: str | None = Field(
        None,
        description="key of a list of objects in JSON, each of them a row: its columns are `events.item`, others are "
        "keys of the object around the list",
    )
    header: tuple[str, ...] = Field(
        (), description="names of all columns, of a file without a header"
    )
    quotes: bool = Field(
        True,
        description="whether double quotes around a value of a file of text are not part of it",
    )
    encoding: str | None = Field(
        None, description="encoding of a file of text; UTF-8 unless it is named or marked"
    )
    date_order: DateOrder | None = Field(
        None, description="what comes first in dates such as 12/1/2010, where no row shows it"
    )

    @model_validator(mode="after")
    def _encoding_is_known(self) -> Self:
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError:
            raise ValueError(
                f"encoding must be one that Python knows, such as latin-1 or cp1252, got {self.encoding}"
            ) from None
        return self

    @model_validator(mode="after")
    def _signals_fit(self) -> Self:
        if self.type and EVERY_ROW in self.values:
            raise ValueError(
                f"{EVERY_ROW} stands for every row where there is no type, got {self.type}"
            )
        if self.type and self.thresholds:
            raise ValueError(
                f"a threshold is of a column that is a behavior, and with a type ({self.type}) none is; name the "
                "values of the type that count, as in like=4|5, or leave out the type"
            )
        for name in self.thresholds:
            if name not in self.flags:
                raise ValueError(
                    f"thresholds must be of columns of behaviors ({', '.join(self.flags)}), got {name}"
                )
        if self.seen and EVERY_ROW in self.values:
            raise ValueError(
                f"seen is of rows without a behavior, and {EVERY_ROW} gives every row one; leave out either"
            )
        for value in self.seen:
            if value in self.values:
                raise ValueError(
                    f"seen must differ from what stands for a behavior, got {value}; leave it out there or here"
                )
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if len(self.columns) != len(self.behaviors):
            raise ValueError("columns must be as many as behaviors")
        for name, values in (
            ("behaviors", self.behaviors),
            ("columns", self.used),
            ("header", self.header),
        ):
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"{name} must differ, got {value} twice")
        return self

    @model_validator(mode="after")
    def _rows_have_columns(self) -> Self:
        if self.rows and not self.item.startswith(f"{self.rows}."):
            raise ValueError(f"item must be a key of the rows, {self.rows}.KEY, got {self.item}")
        return self

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        optional = (self.user, self.item, self.time, self.session, self.type)
        named = tuple(name for name in optional if name is not None)
        return named if self.type else named + self.flags

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """For each behavior the values of `type`, or the columns, that stand for it; () if none does in this file."""
        return tuple(
            tuple(part.replace("\\|", "|") for part in OR.split(text) if part)
            for text in self.columns
        )

    @property
    def values(self) -> tuple[str, ...]:
        """All that stands for some behavior."""
        return tuple(value for values in self.alternatives for value in values)

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the columns of behaviors and of what is only seen, where these have columns."""
        return tuple(name for name in (*self.values, *self.seen) if name != EVERY_ROW)

    @classmethod
    def of_stored(cls, facts: Mapping[str, Any]) -> "LogFormat":
        """Return a format that was written down, by this version or an earlier one."""
        return cls.model_validate(of_now(facts))

    @classmethod
    def of_split_files(cls, behaviors: tuple[str, ...]) -> "LogFormat":
        """Return the format of split files, whose rows are in time order and whose ids are whole numbers."""
        return cls(
            user="user", item="item", behaviors=behaviors, columns=behaviors, integer_ids=True
        )


def of_now(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was written down of a format as it is now; before behaviors had alternatives, | stood for itself."""
    columns = facts.get("columns")
    if "seen" in facts or not isinstance(columns, list | tuple):
        return facts
    return {**facts, "columns": [str(text).replace("|", "\\|") for text in columns]}


def formats_of(facts: Mapping[str, Any]) -> tuple[LogFormat, ...]:
    """Return the formats of a log from what `data prepare` recorded: several if its files have columns of their own."""
    return tuple(map(LogFormat.of_stored, facts.get("formats") or [facts["log"]]))


class Recipe(Settings):
    """Filters and sample that decide which items and users of a log stay."""

    min_item_targets: int = Field(
        5, ge=0, description="fewest target interactions of an item; others are left out"
    )
    min_user_targets: int = Field(
        5, ge=0, description="fewest target interactions of a user; others are left out"
    )
    until_stable: bool = Field(False, description="repeat both until nothing is left out any more")
    sample_users: int | None = Field(
        None, ge=1, description="so many of the users that are left, drawn at random"
    )
    seed: int = Field(2026, ge=0, description="seed of that draw")

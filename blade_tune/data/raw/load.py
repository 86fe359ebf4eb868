"""Reading of a log as checked rows, and merging of rows to interactions: steps 1 to 3 of EIDP's recipe (appendix A.3).

Everything is SQL in the scratch database. Checks look at whole columns and then find the first bad row, so that an
error can name it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NoReturn

import duckdb

from blade_tune.config import guess
from blade_tune.data.raw import times
from blade_tune.data.raw.dates import UnreadableError
from blade_tune.data.raw.files import SHOWN, LogFile, cases, literal, quoted
from blade_tune.data.raw.settings import EVERY_ROW, DateOrder, LogFormat
from blade_tune.errors import DataError

TRUE = ("1", "true", "True", "TRUE", "1.0")
FALSE = ("0", "false", "False", "FALSE", "0.0")
NOT_IDS = ("NaN", "nan")  # written by other programs for a missing value
NO_INTEGER = -1  # stands in the table for an id that is no whole number, until it is reported
# Whole numbers, also with a point as other programs write them: "12.0"
INTEGER = r"\s*([0-9]+|[0-9]{1,15}\.0*)\s*"
FRACTION = r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?"
INTEGER_ID = f"a whole number from 0 to {2**63 - 1}"
MAX_ID_CHARACTERS = 2**16
# Controls, line ends and marks of direction, which would disturb terminals and pages.
CONTROLS = r"[[:cntrl:]\x{80}-\x{9f}\x{61c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]"
TEXT_ID = "text without control characters, and not NaN"
SHORT_ID = f"at most {MAX_ID_CHARACTERS:,} characters long"
FLAG = "1, 0, true, false or nothing"


class Log:
    """The rows of a log in the scratch database, read and checked when an instance is made.

    The table `rows` has a row for each row of the files, one file after the other: user_id, item_id, the time (as the
    columns of `times.stored`), session, mask (bit k is behavior k), and other (the type of an event that is none of the
    behaviors). A row is used if it has a user, an item, a time (where the log has times) and a behavior.

    Args:
        database: the scratch database.
        files: those of the log.
        form: what the columns of the log mean.

    Attributes:
        used: SQL of whether a row of `rows` is used.
        time: SQL of a value of a row of `rows` that sorts like its time.
        date_order: that of its dates, if they end in a year.

    Raises:
        DataError: the file is malformed, or a value is not what its column holds; the message has its row.
    """

    def __init__(
        self, database: duckdb.DuckDBPyConnection, files: Sequence[LogFile], form: LogFormat
    ) -> None:
        self._database, self._files, self._form = database, files, form
        self._read()
        # Read the files again if some numbers were rounded
        rounded = [file.keep_digits(self._fractional) for file in files]
        if any(rounded):
            database.execute("DROP TABLE rows")
            self._read()
        self._check_keys()
        self._check_nested()
        self._check_ids()
        row = self._first("mask IS NULL")
        if row is not None:
            self._refuse(row, form.flags, FLAG, (*TRUE, *FALSE, None))
        self.date_order: DateOrder | None = None
        self.time = self._moment()
        self.used = "user_id IS NOT NULL AND item_id IS NOT NULL AND mask > 0"
        self.used += f" AND {times.HAS_TIME}" if form.time else ""

    def _fractional(self) -> list[str]:
        """Return the columns of ids and times that hold numbers with a fraction or an exponent."""
        form = self._form
        columns = {} if form.integer_ids else {form.user: "user_id", form.item: "item_id"}
        names = []
        for name, column in columns.items():
            is_number = f"regexp_full_match({column}, '{FRACTION}')"
            has_digits_only = f"regexp_full_match({column}, '[0-9]+')"
            if self._first(f"{is_number} AND NOT {has_digits_only}") is not None:
                names.append(name)
        if form.time and not times.is_whole(self._database):
            names.append(form.time)
        return names

    def _read(self) -> None:
        """Make the table `rows` from the files."""
        self._sources = [file.relation(self._form.used) for file in self._files]
        self._starts = []  # number of the first row of each file
        for number, (file, source) in enumerate(zip(self._files, self._sources, strict=True)):
            self._starts.append(self._count("rows") if number else 0)
            into = "INSERT INTO rows" if number else "CREATE TABLE rows AS"
            with file.explained():
                self._database.execute(f"{into} {self._rows(source)}")

    def _rows(self, source: str) -> str:
        """Return SQL of the rows of the table `rows` that a relation of texts makes."""
        form = self._form
        if form.type:
            # A row is one event with one behavior, or with a type that is none of them: mask 0.
            other = quoted(form.type)
            masks = {value: str(1 << k) for k, value in enumerate(form.columns)}
            mask = f"CASE {cases(other, masks)} ELSE 0 END"
        else:
            # A row is one interaction with a column a behavior.
            other = "NULL"
            flags = ["1" if column == EVERY_ROW else _flag(column) for column in form.columns]
            bits = [f"({flag} << {k})" for k, flag in enumerate(flags)]
            mask = " | ".join(bits)
        picked = {
            "user_id": self._id(form.user),
            "item_id": self._id(form.item),
            **(times.stored(quoted(form.time)) if form.time else {}),
            "session": quoted(form.session) if form.session else "NULL::VARCHAR",
            "mask": f"({mask})::UINTEGER",
            "other": f"{other}::VARCHAR",
        }
        columns = ", ".join(f"{value} AS {name}" for name, value in picked.items())
        return (
            "SELECT * REPLACE (CASE WHEN mask = 0 THEN other END AS other) "
            f"FROM (SELECT {columns} FROM {source})"
        )

    def counts(self) -> dict[str, int]:
        """Return the number of `rows` in the file, and the numbers of those that are not used by reason.

        A row counts under the first reason that holds: no user, no item, no time, no behavior.
        """
        has_time = times.HAS_TIME if self._form.time else "true"
        reason = "other_event" if self._form.type else "no_behavior"
        names = ("rows", "no_user", "no_item", "no_time", reason)
        (counts,) = self._database.execute(
            "SELECT count(*), count(*) FILTER (user_id IS NULL), "
            "count(*) FILTER (user_id IS NOT NULL AND item_id IS NULL), "
            f"count(*) FILTER (user_id IS NOT NULL AND item_id IS NOT NULL AND NOT ({has_time})), "
            f"count(*) FILTER (user_id IS NOT NULL AND item_id IS NOT NULL AND {has_time} AND mask = 0) FROM rows"
        ).fetchall()
        return dict(zip(names, counts, strict=True))

    def other_types(self, number: int = 5) -> list[str]:
        """Return the most frequent types of events that are none of the behaviors."""
        counted = "SELECT other FROM rows WHERE other IS NOT NULL GROUP BY other ORDER BY count(*) DESC, other"
        rows = self._database.execute(f"{counted} LIMIT {number}").fetchall()
        return [name for (name,) in rows]

    def absent(self) -> list[str]:
        """Return the names of the behaviors that no row has."""
        ((seen,),) = self._database.execute("SELECT coalesce(bit_or(mask), 0) FROM rows").fetchall()
        return [name for k, name in enumerate(self._form.behaviors) if not seen >> k & 1]

    def interact(self) -> dict[str, int]:
        """Replace the table `rows` by the table `met` (user_id, item_id, mask, position in time).

        Rows of one user, item and time (or session) are merged to one interaction, which has all their behaviors and
        the position of the first of them. Of interactions with the same user, item and set the first is kept, or all
        of them if the format keeps repeats.

        Returns:
            The number of rows that disappeared, by reason: `merged` and `repeated`.
        """
        form, database = self._form, self._database
        used = f"SELECT *, rowid AS place, {self.time} AS moment FROM rows WHERE {self.used}"
        num_used = self._count(f"({used})")

        # Merge rows of one user, item and time (or session)
        merged = f"SELECT user_id, item_id, mask, moment, place FROM ({used})"
        if form.merges and (form.time or form.session):
            by_time = "'at ' || moment::VARCHAR, " if form.time else ""
            # A row without a session merges by time, and without that with no other row.
            key = (
                f"coalesce('in ' || session, {by_time}place::VARCHAR)" if form.session else "moment"
            )
            merged = (
                "SELECT user_id, item_id, bit_or(mask) AS mask, min(moment) AS moment, min(place) AS place "
                f"FROM ({used}) GROUP BY user_id, item_id, {key}"
            )
        database.execute(f"CREATE TABLE merged AS {merged}")
        database.execute("DROP TABLE rows")

        # Order interactions by time, those of equal times as in the file, and keep the first of repeated ones
        position = "row_number() OVER (ORDER BY moment, place)" if form.time else "place"
        first = "position" if form.keep_repeats else "min(position) AS position"
        of_equals = "" if form.keep_repeats else " GROUP BY user_id, item_id, mask"
        database.execute(
            f"CREATE TABLE met AS SELECT user_id, item_id, mask, {first} "
            f"FROM (SELECT *, {position} AS position FROM merged){of_equals}"
        )
        num_merged, num_met = self._count("merged"), self._count("met")
        database.execute("DROP TABLE merged")
        return {"merged": num_used - num_merged, "repeated": num_merged - num_met}

    def _id(self, name: str) -> str:
        """Return SQL of a column of ids; of whole numbers as such, with NO_INTEGER for what is none."""
        column = quoted(name)
        if not self._form.integer_ids:
            return column
        number = f"try_cast({column} AS BIGINT)"
        # Most ids are plain numbers, for which the regular expression is not needed.
        is_plain = f"{number}::VARCHAR = {column}"
        is_whole = f"regexp_full_match({column}, '{INTEGER}')"
        whole = f"CASE WHEN {is_plain} THEN {number} WHEN {is_whole} THEN {number} END"
        return f"CASE WHEN {column} IS NOT NULL THEN greatest(coalesce({whole}, {NO_INTEGER}), {NO_INTEGER}) END"

    def _check_ids(self) -> None:
        """Check that ids are whole numbers, or text that is short enough and has no control characters."""
        for column, name in (("user_id", self._form.user), ("item_id", self._form.item)):
            # SQL of what is wrong with an id -> what it must be
            checks = {f"{column} = {NO_INTEGER}": INTEGER_ID}
            if not self._form.integer_ids:
                not_ids = ", ".join(map(literal, NOT_IDS))
                is_no_text = f"{column} IN ({not_ids}) OR regexp_matches({column}, '{CONTROLS}')"
                is_long = f"length({column}) > {MAX_ID_CHARACTERS}"
                checks = {is_no_text: TEXT_ID, is_long: SHORT_ID}
            for is_wrong, expected in checks.items():
                row = self._first(is_wrong)
                if row is not None:
                    self._refuse(row, (name,), expected, ())

    def _check_keys(self) -> None:
        """Check that some object of JSON has each column, or that the first one of a file has it, empty."""
        form = self._form
        if not all(file.is_sparse for file in self._files):
            return
        has_value = {form.session: "session IS NOT NULL", form.time: times.HAS_TIME}
        for name, condition in has_value.items():
            if name is None or self._first(condition) is not None:
                continue
            known = list(dict.fromkeys(key for file in self._files for key in file.columns()))
            if name not in known:
                raise DataError(
                    f"{self._files[0].name}: some object must have the key {name!r}, and none has; the first has "
                    f"{', '.join(known)[:SHOWN]}. {guess(name, known)}"
                )

    def _check_nested(self) -> None:
        """Check that no id is an object or a list of JSON, which would be read as its text."""
        form = self._form
        if not any(file.is_sparse for file in self._files) or form.integer_ids:
            return
        columns = {form.user: "user_id", form.item: "item_id", form.session: "session"}
        names = [name for name in columns if name is not None]
        opens = " OR ".join(f"starts_with({columns[name]}, '{c}')" for name in names for c in "{[")
        if self._first(opens) is None:
            return
        for file in self._files:
            found = file.nested(names)
            if found is not None:
                raise DataError(
                    f"{file.name}: {found.column} must be text or a number; row {found.row + 1} has "
                    f"{_shown(found.text)}. Write what is meant of it under a key of its own."
                )

    def _moment(self) -> str:
        """Return SQL of a value that sorts rows by time."""
        if self._form.time is None:
            return "0"
        try:
            read = times.moment(self._database, self._form.date_order)
        except UnreadableError as error:
            self._refuse(error.row, (self._form.time,), error.expected, ())
        self.date_order = read.date_order
        return read.moment

    def settle_time(self) -> None:
        """Find `time` anew, for the rows that the table has now.

        Raises:
            DataError: the rows of these files have times of another kind than the others.
        """
        if self._form.time is None:
            return
        try:
            self.time = times.moment(self._database, self._form.date_order).moment
        except UnreadableError:
            raise DataError(
                f"{self._files[0].name}: {self._form.time} must be as in the log that its rows are added to, all "
                "numbers or all dates, and is the other; write its times as the log has them."
            ) from None

    def _first(self, condition: str) -> int | None:
        """Return the 0-based number of the first row with a condition, or None."""
        ((row,),) = self._database.execute(
            f"SELECT min(rowid) FROM rows WHERE {condition}"
        ).fetchall()
        return row

    def _refuse(
        self, row: int, names: tuple[str, ...], expected: str, allowed: tuple[str | None, ...]
    ) -> NoReturn:
        """Raise a DataError about the first of the named columns of a row whose value is not one of `allowed`."""
        picked = ", ".join(map(quoted, names))
        number = bisect_right(self._starts, row) - 1
        row -= self._starts[number]
        (values,) = self._database.execute(
            f"SELECT {picked} FROM {self._sources[number]} LIMIT 1 OFFSET {row}"
        ).fetchall()
        wrong = {
            name: value for name, value in zip(names, values, strict=True) if value not in allowed
        }
        name, value = next(iter(wrong.items()))
        file = self._files[number].name
        raise DataError(f"{file}: {name} must be {expected}; row {row + 1} has {_shown(value)}.")

    def _count(self, table: str) -> int:
        ((count,),) = self._database.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "...")


def _flag(name: str) -> str:
    """Return SQL of a behavior's column as 1 or 0, with 0 for a missing value and NULL for any other text."""
    column = quoted(name)
    # The usual ones first, for each is compared in turn
    values = {"0": "0", "1": "1", **dict.fromkeys(FALSE, "0"), **dict.fromkeys(TRUE, "1")}
    return f"CASE {cases(column, values)} WHEN {column} IS NULL THEN 0 END"

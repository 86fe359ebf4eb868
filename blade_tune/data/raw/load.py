"""Reading of a log as checked rows, and merging of rows to interactions: steps 1 to 3 of EIDP's recipe (appendix A.3).

Everything is SQL in the scratch database. Checks look at whole columns and then find the first bad row, so that an
error can name it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Literal, NoReturn

import duckdb

from blade_tune.config import guess
from blade_tune.data.raw import signals, times
from blade_tune.data.raw.dates import UnreadableError
from blade_tune.data.raw.files import SHOWN, LogFile, literal, quoted
from blade_tune.data.raw.settings import EVERY_ROW, DateOrder, LogFormat
from blade_tune.errors import DataError

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
NUMBER = "a number or nothing"


class Log:
    """The rows of a log in the scratch database, read and checked when an instance is made.

    The table `rows` has a row for each row of the files, one file after the other: user_id, item_id, the time (as the
    columns of `times.stored`), session, mask (bit k is behavior k), other (the type of an event that is none of the
    behaviors), and seen (whether a row without a behavior says that the user knows the item). A row is used if it has a
    user, an item, a time (where the log has times) and a behavior.

    Args:
        database: the scratch database.
        files: those of the log, those of one format one after the other. The formats may differ in their columns only.

    Attributes:
        used: SQL of whether a row of `rows` is used.
        time: SQL of a value of a row of `rows` that sorts like its time.
        date_order: that of its dates, if they end in a year.

    Raises:
        DataError: the file is malformed, or a value is not what its column holds; the message has its row.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> None:
        self._database, self._files = database, files
        self._form = form = files[0].form
        self._read()
        # Read the files again if some numbers were rounded
        rounded = [file.keep_digits(partial(self._fractional, file.form)) for file in files]
        if any(rounded):
            database.execute("DROP TABLE rows")
            self._read()
        self._check_keys()
        self._check_nested()
        self._check_ids()
        row = self._first("mask IS NULL")
        if row is not None:
            self._refuse_flag(row)
        self.date_order: DateOrder | None = None
        self.time = self._moment()
        self.used = "user_id IS NOT NULL AND item_id IS NOT NULL AND mask > 0"
        self.used += f" AND {times.HAS_TIME}" if form.time else ""

    def _fractional(self, form: LogFormat) -> list[str]:
        """Return the columns of ids and times of a format that hold numbers with a fraction or an exponent."""
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
        self._sources = [file.relation(file.form.used) for file in self._files]
        self._starts = []  # number of the first row of each file
        for number, (file, source) in enumerate(zip(self._files, self._sources, strict=True)):
            self._starts.append(self._count("rows") if number else 0)
            into = "INSERT INTO rows" if number else "CREATE TABLE rows AS"
            with file.explained():
                self._database.execute(f"{into} {self._rows(source, file.form)}")

    def _rows(self, source: str, form: LogFormat) -> str:
        """Return SQL of the rows of the table `rows` that a relation of texts makes."""
        picked = {
            "user_id": self._id(form.user),
            "item_id": self._id(form.item),
            **(times.stored(quoted(form.time)) if form.time else {}),
            "session": quoted(form.session) if form.session else "NULL::VARCHAR",
            "mask": f"({signals.mask(form)})::UINTEGER",
            "other": f"{quoted(form.type) if form.type else 'NULL'}::VARCHAR",
            "seen": signals.seen(form),
        }
        columns = ", ".join(f"{value} AS {name}" for name, value in picked.items())
        return (
            "SELECT * REPLACE (CASE WHEN mask = 0 THEN other END AS other, mask = 0 AND seen AS seen, "
            f"CASE WHEN seen IS NOT NULL THEN mask END AS mask) FROM (SELECT {columns} FROM {source})"
        )

    def counts(self) -> dict[str, int]:
        """Return the number of `rows` in the file, and the numbers of those that are not used by reason.

        A row counts under the first reason that holds: no user, no item, no time, an item that is only seen, no
        behavior.
        """
        has_time = times.HAS_TIME if self._form.time else "true"
        reason = "other_event" if self._form.type else "no_behavior"
        names = ("rows", "no_user", "no_item", "no_time", "seen_only", reason)
        (counts,) = self._database.execute(
            "SELECT count(*), count(*) FILTER (user_id IS NULL), "
            "count(*) FILTER (user_id IS NOT NULL AND item_id IS NULL), "
            f"count(*) FILTER (user_id IS NOT NULL AND item_id IS NOT NULL AND NOT ({has_time})), "
            f"count(*) FILTER (user_id IS NOT NULL AND item_id IS NOT NULL AND {has_time} AND seen), "
            f"count(*) FILTER (user_id IS NOT NULL AND item_id IS NOT NULL AND {has_time} AND mask = 0 AND NOT seen) "
            "FROM rows"
        ).fetchall()
        return dict(zip(names, counts, strict=True))

    def other_types(self, number: int = 5) -> list[str]:
        """Return the most frequent types of events that are none of the behaviors."""
        rows = self._database.execute(
            "SELECT other FROM rows WHERE other IS NOT NULL AND NOT seen "
            f"GROUP BY other ORDER BY count(*) DESC, other LIMIT {number}"
        ).fetchall()
        return [name for (name,) in rows]

    def absent(self) -> list[str]:
        """Return the names of the behaviors that no row has."""
        ((seen,),) = self._database.execute("SELECT coalesce(bit_or(mask), 0) FROM rows").fetchall()
        return [name for k, name in enumerate(self._form.behaviors) if not seen >> k & 1]

    def unseen(self) -> list[str]:
        """Return what no row has of the types and columns by which an item is only seen."""
        found: dict[str, bool] = {}
        for form, numbers in self._parts():
            tables = ["rows"] if form.type else [self._sources[number] for number in numbers]
            for value in form.seen:
                is_it = f"other = {literal(value)}" if form.type else f"{quoted(value)} IS NOT NULL"
                rows = [f"SELECT 1 FROM {table} WHERE {is_it} LIMIT 1" for table in tables]
                if value != EVERY_ROW and not found.get(value):
                    found[value] = any(self._database.execute(row).fetchall() for row in rows)
        return [value for value, is_there in found.items() if not is_there]

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
        has_session = any(file.form.session for file in self._files)
        if form.merges and (form.time or has_session):
            by_time = "'at ' || moment::VARCHAR, " if form.time else ""
            # A row without a session merges by time, and without that with no other row.
            key = (
                f"coalesce('in ' || session, {by_time}place::VARCHAR)" if has_session else "moment"
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
        kinds: tuple[tuple[str, Literal["user", "item"]], ...] = (
            ("user_id", "user"),
            ("item_id", "item"),
        )
        for column, kind in kinds:
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
                    self._refuse(row, kind, expected)

    def _check_keys(self) -> None:
        """Check that some object of JSON has each column, or that the first one of a file has it, empty."""
        for form, numbers in self._parts():
            files = [self._files[number] for number in numbers]
            if not all(file.is_sparse for file in files):
                continue
            after = numbers[-1] + 1
            end = f" AND rowid < {self._starts[after]}" if after < len(self._files) else ""
            of_these = f"rowid >= {self._starts[numbers[0]]}{end}"
            has_value = {form.session: "session IS NOT NULL", form.time: times.HAS_TIME}
            for name, condition in has_value.items():
                if name is None or self._first(f"{of_these} AND {condition}") is not None:
                    continue
                known = list(dict.fromkeys(key for file in files for key in file.columns()))
                if name not in known:
                    raise DataError(
                        f"{files[0].name}: some object must have the key {name!r}, and none has; the first has "
                        f"{', '.join(known)[:SHOWN]}. {guess(name, known)}"
                    )

    def _parts(self) -> Iterator[tuple[LogFormat, list[int]]]:
        """Yield each format with the positions of its files, which follow each other."""
        for form, group in groupby(range(len(self._files)), lambda k: self._files[k].form):
            yield form, list(group)

    def _check_nested(self) -> None:
        """Check that no id is an object or a list of JSON, which would be read as its text."""
        if not any(file.is_sparse for file in self._files) or self._form.integer_ids:
            return
        columns = ("user_id", "item_id", "session")
        opens = " OR ".join(f"starts_with({name}, '{c}')" for name in columns for c in "{[")
        if self._first(opens) is None:
            return
        for file in self._files:
            names = (file.form.user, file.form.item, file.form.session)
            found = file.nested([name for name in names if name is not None])
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
            self._refuse(error.row, "time", error.expected)
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

    def _refuse(self, row: int, kind: Literal["user", "item", "time"], expected: str) -> NoReturn:
        """Raise a DataError about what a row has in the column of a kind."""
        file, row, values = self._found(row)
        name = getattr(file.form, kind)
        raise DataError(
            f"{file.name}: {name} must be {expected}; row {row + 1} has {_shown(values[name])}."
        )

    def _refuse_flag(self, row: int) -> NoReturn:
        """Raise a DataError about the first of a row's columns of behaviors that cannot be read."""
        file, row, values = self._found(row)
        thresholds = file.form.thresholds
        for name in file.form.flags:
            read = f"SELECT {signals.flag(name, thresholds)} FROM (SELECT ?::VARCHAR AS {quoted(name)})"
            if self._database.execute(read, [values[name]]).fetchall() == [(None,)]:
                break
        expected, way_out = (NUMBER if name in thresholds else FLAG), ""
        if name not in thresholds and re.fullmatch(times.NUMBER, values[name].strip()):
            way_out = f" A number needs the least one that counts: --threshold {name}=NUMBER."
        raise DataError(
            f"{file.name}: {name} must be {expected}; row {row + 1} has {_shown(values[name])}.{way_out}"
        )

    def _found(self, row: int) -> tuple[LogFile, int, dict[str, str]]:
        """Return the file of a row, its number there from 0 on, and its texts by column."""
        number = bisect_right(self._starts, row) - 1
        file, row = self._files[number], row - self._starts[number]
        names = file.form.used
        (values,) = self._database.execute(
            f"SELECT {', '.join(map(quoted, names))} FROM {self._sources[number]} LIMIT 1 OFFSET {row}"
        ).fetchall()
        return file, row, dict(zip(names, values, strict=True))

    def _count(self, table: str) -> int:
        ((count,),) = self._database.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "...")

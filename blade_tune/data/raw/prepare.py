"""Preparation of a log as a folder of split files, which appears complete or not at all.

The steps are those of the modules here: `unpack` a file, read it (`files`, `load`), filter and split it (`cut`), and
write the result. One log and one recipe always lead to the same bytes, whatever the number of threads.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from blade_tune.config import guess
from blade_tune.data import folder
from blade_tune.data.auxiliary import Auxiliary, as_written, auxiliaries
from blade_tune.data.cells import guarded
from blade_tune.data.raw import kept_log, times
from blade_tune.data.raw.cut import PARTS, SEALED, Cut
from blade_tune.data.raw.database import connected, scratch
from blade_tune.data.raw.files import literal
from blade_tune.data.raw.forms import LogPart, open_log
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.settings import DateOrder, LogFormat, Recipe
from blade_tune.data.sources.split_files import FILES, GUARDED, IDS, PREPARATION, read_preparation
from blade_tune.errors import DataError
from blade_tune.files import sha256

FLOORS = ("min_item_targets", "min_user_targets")  # fields of a recipe

# Called with a step's name and a function for its progress in %
OnStep = Callable[[str, Callable[[], float]], object]
# Called with what would change in an older preparation; raises to refuse
OnReplace = Callable[[list[str]], object]


@dataclass(frozen=True)
class Preparation:
    """A log that is to be prepared, and how to read and split it."""

    name: str  # of the data set
    parts: tuple[LogPart, ...]  # formats agree in all that is not about columns
    auxiliary: Auxiliary  # the behaviors that are no targets
    recipe: Recipe
    license: str  # of the data
    keeps_log: bool = False  # whether the log's rows are kept, so that newer ones can be added
    # `name` and `flags` of the command that asks for it, without places
    command: Mapping[str, Any] | None = None
    mapping: Path | None = None  # the mapping file that has the parts, if one was given
    earlier: tuple[LogFormat, ...] = ()  # formats of rows that the log has already

    @property
    def formats(self) -> list[LogFormat]:
        """The formats of all rows of the log, each once."""
        found: list[LogFormat] = []
        for form in (*self.earlier, *(part.form for part in self.parts)):
            if form not in found:
                found.append(form)
        return found

    @property
    def form(self) -> LogFormat:
        """The first format."""
        return self.formats[0]

    @property
    def source(self) -> str:
        """The names of its sources, for people."""
        return ", ".join(str(part.source) for part in self.parts)


def prepare(
    preparation: Preparation, out: Path, on_step: OnStep, may_replace: OnReplace = lambda _: None
) -> dict[str, Any]:
    """Write the split files of a log, the ids behind their numbers, and `preparation.json`.

    Memory is bounded whatever the size of the log; what does not fit is kept in a scratch folder next to `out`.

    Args:
        preparation: the log and how to prepare it.
        out: the folder to write, in which an older preparation may be.
        on_step: called at the start of each step.
        may_replace: called before different data replaces an older preparation: before the log is read if columns
            change their meaning, or else once rows are known to differ.

    Returns:
        What `preparation.json` says, without the checksums of the files.

    Raises:
        DataError: the log is malformed, or no rows are left of it; `out` is then unchanged.
    """
    folder.check_place(out, PREPARATION)
    older = _older(out)
    changes = _changed_meaning(older, preparation)
    if changes:
        may_replace(changes)
    with scratch(out) as scratch_folder, connected(scratch_folder) as database:
        bench = Bench(preparation, database, scratch_folder, on_step)
        bench.split.mkdir()
        log, source = bench.read()
        counts = log.counts()
        num_rows = counts.pop("rows")
        _check_behaviors(log, preparation)
        _check_seen(log, preparation)
        if preparation.keeps_log:
            bench.step("keeping the log")
            kept_log.keep(database, log.used, bench.split / kept_log.file_name(1))
        facts = {"source": source, **bench.span(log)}
        facts = bench.write(facts, num_rows, counts | bench.cut(log), log.date_order)

        # Put the folder in the place of an older one
        checksums = read_preparation(bench.split)["sha256"]
        if older is not None and not changes and _rows(older.get("sha256")) != _rows(checksums):
            may_replace(["rows"])
        folder.replace(bench.split, out)
    return facts


@dataclass(frozen=True)
class Bench:
    """Where a log becomes a folder of split files: a scratch database, and the folder before it gets its place."""

    preparation: Preparation
    database: duckdb.DuckDBPyConnection
    folder: Path  # scratch
    on_step: OnStep

    @property
    def split(self) -> Path:
        """The folder of split files."""
        return self.folder / "split"

    def step(self, words: str) -> None:
        """Tell which step begins."""
        self.on_step(words, lambda: max(0.0, self.database.query_progress()))

    def read(self) -> tuple[Log, dict[str, Any]]:
        """Read the rows of the source into the database; return them and what is recorded of the source."""
        parts = self.preparation.parts
        names = ", ".join(part.source.name for part in parts)
        self.step(f"unpacking {names}")
        files = open_log(parts, self.database, self.folder)
        self.step(f"reading {files[0].path.name if len(files) == 1 else f'{len(files)} files'}")
        log = Log(self.database, files)
        recorded: dict[str, Any] = {"file": names}
        if self.preparation.mapping:
            recorded["mapping"] = self.preparation.mapping.name
        if len(files) > 1:
            recorded["files"] = len(files)
        # The size is that of the unpacked files
        recorded["bytes"] = sum(file.path.stat().st_size for file in files)
        return log, recorded

    def span(self, log: Log) -> dict[str, Any]:
        """Return the first and the last time of the log for `preparation.json`; {} for a log without times."""
        if self.preparation.form.time is None:
            return {}
        return {"time_span": times.span(self.database, log.time, log.used)}

    def cut(self, log: Log) -> dict[str, int]:
        """Make interactions of the rows in the database and split them; return what was left out, by reason."""
        self.step("merging and ordering rows")
        left_out = log.interact()
        self.step("splitting")
        targets = 0
        for k, name in enumerate(self.preparation.form.behaviors):
            if name not in auxiliaries(self.preparation.auxiliary):
                targets |= 1 << k
        return left_out | Cut(self.database, targets, self.preparation.recipe).apply()

    def write(
        self,
        facts: Mapping[str, Any],
        num_rows: int,
        left_out: Mapping[str, int],
        date_order: DateOrder | None,
    ) -> dict[str, Any]:
        """Write the folder of what was cut.

        Args:
            facts: what else is to be recorded of the preparation.
            num_rows: rows that were read.
            left_out: those of them that are in no part, by reason.
            date_order: of the log's dates, if they end in a year.

        Returns:
            What `preparation.json` says, without the checksums of the files.
        """
        preparation, database = self.preparation, self.database
        self.step("writing")
        recorded = {**facts, **_facts(preparation, database, num_rows, left_out)}
        for log in (recorded["log"], *recorded.get("formats", ())):
            log["date_order"] = date_order
        if preparation.command:
            recorded["command"] = dict(preparation.command)
        _write(database, len(preparation.form.behaviors), self.split, recorded)
        return recorded


def _rows(checksums: Any) -> dict[str, str]:
    """Return those of a folder's checksums that belong to rows and ids, for the log may be kept in another form."""
    names = (*FILES.values(), *IDS.values())
    return {name: checksums.get(name) for name in names} if checksums else {}


def _older(out: Path) -> dict[str, Any] | None:
    """Return what an older preparation says of itself: {} if that cannot be read, None if there is none."""
    try:
        return read_preparation(out) or None
    except DataError:
        return {}


def _changed_meaning(older: Mapping[str, Any] | None, preparation: Preparation) -> list[str]:
    """Return how the columns of an older preparation differ in meaning; its studies could not read the new files."""
    if older is None:
        return []
    form = preparation.form.model_dump(mode="json")
    before = {
        "behaviors": older.get("log", {}).get("behaviors", ["unknown"]),
        "auxiliary": list(auxiliaries(older.get("auxiliary", "unknown"))) or [None],
    }
    auxiliary = list(auxiliaries(preparation.auxiliary))
    now = {"behaviors": form["behaviors"], "auxiliary": auxiliary or [None]}
    changes = []
    for name in now:
        if before[name] != now[name]:
            old = ",".join(map(str, before[name]))
            changes.append(f"{name} {old}, now {','.join(map(str, now[name]))}")
    return changes


def _check_behaviors(log: Log, preparation: Preparation) -> None:
    """Refuse a behavior that no row has, for its name in the log is then probably misspelled."""
    absent = log.absent()
    if not absent:
        return
    name, place = absent[0], preparation.form.behaviors.index(absent[0])
    for part in preparation.parts:
        form, columns = part.form, part.form.alternatives[place]
        if not columns:
            continue
        words = f"{form.type} {' or '.join(map(repr, columns))}"
        if not form.type:
            words = " or ".join(_counting(column, form) for column in columns)
        raise DataError(
            f"{part.source}: some row must have {words} for each behavior, and none has"
            f"{_other_types(log, form, columns[0])}"
        )
    raise DataError(f"{preparation.source}: some file must have the behavior {name}, and none has.")


def _counting(column: str, form: LogFormat) -> str:
    """Return what a row must have in a column so that it counts."""
    if column in form.thresholds:
        return f"a number from {form.thresholds[column]:g} on in column {column!r}"
    return f"a 1 or true in column {column!r}"


def _check_seen(log: Log, preparation: Preparation) -> None:
    """Refuse a type or an empty column by which items are only seen, for the same reason."""
    for value in log.unseen():
        part = next(part for part in preparation.parts if value in part.form.seen)
        form = part.form
        words = f"{form.type} {value!r}" if form.type else f"something in column {value!r}"
        raise DataError(
            f"{part.source}: some row must have {words} for what is only seen, and none has"
            f"{_other_types(log, form, value)}"
        )


def _other_types(log: Log, form: LogFormat, word: str) -> str:
    """Return the end of a sentence on a type that no row has: which others there are."""
    others = log.other_types()
    if not others:
        return "."
    return f"; other values of {form.type}: {', '.join(others)}. {guess(word, others)}"


def _facts(
    preparation: Preparation,
    database: duckdb.DuckDBPyConnection,
    num_rows: int,
    left_out: Mapping[str, int],
) -> dict[str, Any]:
    """Return the facts of a preparation; raise a DataError if no row is left to train or to validate on."""
    counted = dict(database.execute("SELECT part, count(*) FROM parts GROUP BY part").fetchall())
    parts = {name: counted.get(part, 0) for part, name in enumerate(PARTS)}
    ((num_users, num_items),) = database.execute(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM items)"
    ).fetchall()
    if not parts["train"] or not parts["valid"]:
        shown = ", ".join(f"{reason} {count:,}" for reason, count in left_out.items() if count)
        floors = [name for name in FLOORS if getattr(preparation.recipe, name)]
        way_out = " and ".join(f"--{name.replace('_', '-')}" for name in floors)
        raise DataError(
            f"{preparation.source}: some user must have two target interactions and one before, and none is left of "
            f"{num_rows:,} rows ({shown or 'nothing was left out'}){f'; lower {way_out}' if floors else ''}."
        )
    formats = [form.model_dump(mode="json") for form in preparation.formats]
    return {
        "name": preparation.name,
        "license": preparation.license,
        "auxiliary": as_written(auxiliaries(preparation.auxiliary)),
        "log": dict(formats[0]),
        **({"formats": formats} if len(formats) > 1 else {}),
        "recipe": preparation.recipe.model_dump(mode="json"),
        "rows": num_rows,
        "left_out": dict(left_out),
        "parts": parts,
        "ids": GUARDED,
        "users": num_users,
        "items": num_items,
    }


def _write(
    database: duckdb.DuckDBPyConnection, num_behaviors: int, target: Path, facts: dict[str, Any]
) -> None:
    """Write split files, ids, and last `preparation.json`, which has the checksums of all files of the folder."""
    # The rows of each part, of which only the current user may read the sealed ones
    flags = ", ".join(f"(mask >> {k}) & 1" for k in range(num_behaviors))
    for part, name in enumerate(PARTS):
        rows = (
            f"SELECT users.number, items.number, {flags} FROM parts JOIN users ON users.id = user_id "
            f"JOIN items ON items.id = item_id WHERE part = {part} ORDER BY users.number, position"
        )
        _copy(database, rows, target / FILES[name], "HEADER false")
        if name in SEALED:
            (target / FILES[name]).chmod(folder.PRIVATE_FILE)

    # The ids behind the numbers
    for kind, file in IDS.items():
        ids = f"SELECT number, {guarded('id::VARCHAR')} AS {kind} FROM {kind}s ORDER BY number"
        _copy(database, ids, target / file, "HEADER true")

    # What the folder is, and the checksums of its files
    checksums = {path.name: sha256(path) for path in sorted(target.iterdir())}
    content = json.dumps({**facts, "sha256": checksums}, indent=2, ensure_ascii=False)
    (target / PREPARATION).write_text(content + "\n", encoding="utf-8")


def _copy(database: duckdb.DuckDBPyConnection, rows: str, path: Path, header: str) -> None:
    database.execute(f"COPY ({rows}) TO {literal(str(path))} (FORMAT csv, {header}, DELIMITER ',')")

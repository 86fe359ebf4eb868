"""Preparation of a log as a folder of split files, which appears complete or not at all.

The steps are those of the modules here: `unpack` a file, read it (`files`, `load`), filter and split it (`cut`), and
write the result. One log and one recipe always lead to the same bytes, whatever the number of threads.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from blade_tune.config import guess
from blade_tune.data import folder
from blade_tune.data.cells import guarded
from blade_tune.data.raw.cut import PARTS, SEALED, Cut
from blade_tune.data.raw.database import connected, scratch
from blade_tune.data.raw.files import literal
from blade_tune.data.raw.find import find
from blade_tune.data.raw.forms import open_log
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.settings import LogFormat, Recipe
from blade_tune.data.raw.unpack import PlainFile
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
    source: Path  # a file, an archive or a folder
    form: LogFormat
    auxiliary: str | None  # the behavior that is no target, if there is one
    recipe: Recipe
    license: str  # of the data
    file: str | None = None  # name of the wanted file in an archive or a folder


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

        def step(words: str) -> None:
            on_step(words, lambda: max(0.0, database.query_progress()))

        # Read the log
        step(f"unpacking {preparation.source.name}")
        files = find(preparation.source, preparation.file, scratch_folder)
        step(f"reading {files[0].path.name if len(files) == 1 else f'{len(files)} files'}")
        log = Log(database, open_log(files, database, preparation.form), preparation.form)
        left_out = log.counts()
        num_rows = left_out.pop("rows")
        _check_behaviors(log, str(preparation.source), preparation.form)
        read = _as_read(preparation.source, files, log)

        # Make interactions of its rows, and split them
        step("merging and ordering rows")
        left_out |= log.interact()
        step("splitting")
        names = enumerate(preparation.form.behaviors)
        targets = sum(1 << k for k, name in names if name != preparation.auxiliary)
        left_out |= Cut(database, targets, preparation.recipe).apply()

        # Write the folder, and put it in the place of an older one
        step("writing")
        facts = {**read, **_facts(preparation, database, num_rows, left_out)}
        facts["log"]["date_order"] = log.date_order
        _write(database, len(preparation.form.behaviors), scratch_folder / "split", facts)
        checksums = read_preparation(scratch_folder / "split")["sha256"]
        if older is not None and not changes and older.get("sha256") != checksums:
            may_replace(["rows"])
        folder.replace(scratch_folder / "split", out)
    return facts


def _as_read(source: Path, files: Sequence[PlainFile], log: Log) -> dict[str, Any]:
    """Return the facts of what was read: the file, or how many; their size, unpacked; and the time of the rows used."""
    facts: dict[str, Any] = {"source": {"file": source.name}}
    if len(files) > 1:
        facts["source"]["files"] = len(files)
    facts["source"]["bytes"] = sum(file.path.stat().st_size for file in files)
    span = log.span()
    if span is not None:
        facts["time"] = {"first": span[0], "last": span[1]}
    return facts


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
        "auxiliary": [older.get("auxiliary", "unknown")],
    }
    now = {"behaviors": form["behaviors"], "auxiliary": [preparation.auxiliary]}
    changes = []
    for name in now:
        if before[name] != now[name]:
            old = ",".join(map(str, before[name]))
            changes.append(f"{name} {old}, now {','.join(map(str, now[name]))}")
    return changes


def _check_behaviors(log: Log, name: str, form: LogFormat) -> None:
    """Refuse a behavior that no row has, for its name in the log is then probably misspelled."""
    absent = log.absent()
    if not absent:
        return
    column = form.columns[form.behaviors.index(absent[0])]
    value = f"{form.type} {column!r}" if form.type else f"a 1 or true in column {column!r}"
    others = log.other_types()
    hint = "."
    if others:
        hint = f"; other values of {form.type}: {', '.join(others)}. {guess(column, others)}"
    raise DataError(f"{name}: some row must have {value} for each behavior, and none has{hint}")


def _facts(
    preparation: Preparation,
    database: duckdb.DuckDBPyConnection,
    num_rows: int,
    left_out: dict[str, int],
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
    return {
        "name": preparation.name,
        "license": preparation.license,
        "auxiliary": preparation.auxiliary,
        "log": preparation.form.model_dump(mode="json"),
        "recipe": preparation.recipe.model_dump(mode="json"),
        "rows": num_rows,
        "left_out": left_out,
        "parts": parts,
        "ids": GUARDED,
        "users": num_users,
        "items": num_items,
    }


def _write(
    database: duckdb.DuckDBPyConnection, num_behaviors: int, target: Path, facts: dict[str, Any]
) -> None:
    """Write all files of the folder; the last one, `preparation.json`, has the checksums of the others."""
    # The rows of each part, of which only the current user may read the sealed ones
    target.mkdir()
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

"""Newer rows for a log that was prepared: the next version of its split, in a folder beside the one before.

The next version is what `prepare` makes of the whole log: all rows that were kept, then the new ones. The one before
stays as it is, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from blade_tune.data import folder
from blade_tune.data.cells import guarded
from blade_tune.data.raw import kept_log
from blade_tune.data.raw.cut import PARTS
from blade_tune.data.raw.database import connected, scratch
from blade_tune.data.raw.files import literal
from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.mapping import MappingFile, is_mapping
from blade_tune.data.raw.prepare import Bench, OnStep, Preparation
from blade_tune.data.raw.settings import Recipe, formats_of
from blade_tune.data.sources.split_files import FILES, IDS, PREPARATION
from blade_tune.data.versions import Version, versions_of
from blade_tune.errors import DataError

GONE = "gone"  # what became of a test row whose interaction is in no part any more


def preparation_of(version: Version, source: Path) -> Preparation:
    """Return how rows of a file, or of those of a mapping file, are added to a version: read and split as its log."""
    facts = version.facts
    formats = formats_of(facts)
    mapping = MappingFile.read(source) if is_mapping(source) else None
    if mapping:
        mapping.require_as(facts, version.folder)
        parts = mapping.parts(like=formats[0])
    elif len(formats) > 1:
        raise DataError(
            f"{source}: must be a mapping file (.yaml), for the files of the log of {version.folder} have columns of "
            "their own; write one such as the log was prepared with, that has the newer files."
        )
    else:
        parts = (LogPart(source, formats[0]),)
    return Preparation(
        name=facts["name"],
        parts=parts,
        auxiliary=facts["auxiliary"],
        recipe=Recipe.model_validate(facts["recipe"]),
        license=facts["license"],
        keeps_log=True,
        command=facts.get("command"),
        mapping=source if mapping else None,
        earlier=formats,
    )


def append(before: Version, source: Path, on_step: OnStep) -> Version | None:
    """Add the rows of a file to a log, and write the next version of its split.

    Args:
        before: the newest version of the log.
        source: the file with newer rows, in any form that `prepare` reads, or a mapping file.
        on_step: called at the start of each step.

    Returns:
        The next version; None if the log has all rows of the file already, and nothing was written.

    Raises:
        DataError: no row of the file can be used, the log was not kept or was changed, or another process appends too.
    """
    preparation, out = preparation_of(before, source), before.next_folder
    if kept_log.file_name(before.number) not in before.facts.get("sha256", {}):
        raise DataError(
            f"{before.folder}: must have its log to add rows to, and was prepared before logs were kept; prepare the "
            "same log once more, which changes no row."
        )
    if preparation.form.keep_repeats and preparation.form.time is None:
        raise DataError(
            f"{before.folder}: must have times for newer rows to be told from those that it has, since its repeats are "
            "kept; prepare the whole log once more."
        )
    if out.exists():
        raise DataError(
            f"{out}: must be free for the next version, and holds something else; move it."
        )
    folder.check_place(out, PREPARATION)
    with scratch(out) as scratch_folder, connected(scratch_folder) as database:
        if versions_of(before.folder)[-1] != before:
            raise DataError(f"{out}: another process has added rows meanwhile; do it again.")
        bench = Bench(preparation, database, scratch_folder, on_step)
        bench.split.mkdir()
        kept = kept_log.take_over(before.folder, before.number, before.facts["sha256"], bench.split)
        log, origin = bench.read()
        counts = log.counts()
        num_rows = counts.pop("rows")
        bench.step("adding rows to the log")
        newest = bench.split / kept_log.file_name(before.number + 1)
        joined = kept_log.join(database, log, kept, newest)
        if not joined.added + joined.already:
            shown = ", ".join(f"{reason} {count:,}" for reason, count in counts.items() if count)
            raise DataError(
                f"{source}: some row must have a user, an item, a time and a behavior of the log, and none of "
                f"{num_rows:,} has ({shown or 'it has no rows'})."
            )
        if not joined.added:
            return None
        counts["already"] = joined.already
        version = _version_facts(before, origin, asdict(joined))
        facts = {"source": origin, **bench.span(log), "version": version}
        left_out = _summed(before.facts, counts) | bench.cut(log)
        version["earlier_test_rows"] = earlier_test_rows(
            database, before.folder, preparation.form.behaviors
        )
        bench.write(facts, before.facts["rows"] + num_rows, left_out, preparation.form.date_order)
        folder.replace(bench.split, out)
    return versions_of(before.folder)[-1]


def _summed(facts: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many rows of all files were not used when they were read, by reason."""
    before = facts["left_out"]
    return {reason: before.get(reason, 0) + count for reason, count in counts.items()}


def _version_facts(
    before: Version, origin: Mapping[str, Any], joined: Mapping[str, int]
) -> dict[str, Any]:
    version = before.facts.get("version", {})
    return {
        "number": before.number + 1,
        "of": version.get("of", before.folder.name),
        "files": [*version.get("files", [before.facts["source"]]), origin],
        **joined,
    }


def earlier_test_rows(
    database: duckdb.DuckDBPyConnection, before: Path, behaviors: tuple[str, ...]
) -> dict[str, int]:
    """Return of how many test rows of the version before the interaction is in which part now; this shows no row.

    Args:
        database: the scratch database, with the parts of the next version.
        before: the folder of the version before.
        behaviors: names of the behaviors.

    Returns:
        The name of the part, or GONE -> number of rows.
    """
    names = ("user", "item", *behaviors)
    columns = ", ".join(f"{literal(f'c{k}')}: 'BIGINT'" for k in range(len(names)))
    mask = " + ".join(f"(c{2 + k} << {k})" for k in range(len(behaviors)))
    ids = {}
    for kind, file in IDS.items():
        path = literal(str(before / file))
        ids[kind] = (
            f"read_csv({path}, header=false, skip=1, all_varchar=true, delim=',', quote='\"', escape='\"', "
            f"columns={{'number': 'BIGINT', 'id': 'VARCHAR'}}, auto_detect=false)"
        )
    test = (
        f"SELECT u.id AS user_id, i.id AS item_id, {mask} AS mask FROM "
        f"read_csv({literal(str(before / FILES['test']))}, header=false, auto_detect=false, delim=',', "
        f"columns={{{columns}}}) AS t JOIN {ids['user']} AS u ON u.number = c0 JOIN {ids['item']} AS i ON i.number = c1"
    )
    rows = database.execute(
        f"SELECT part, count(*) FROM ({test}) AS t LEFT JOIN (SELECT {guarded('user_id')} AS user_id, "
        f"{guarded('item_id')} AS item_id, mask, min(part) AS part FROM parts GROUP BY ALL) AS p USING "
        "(user_id, item_id, mask) GROUP BY part"
    ).fetchall()
    counted = {GONE if part is None else PARTS[part]: count for part, count in rows}
    return {name: counted.get(name, 0) for name in (*PARTS, GONE)}

"""Command `blade-tune data look`, which tells what the columns of a log probably mean, and how to prepare it."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blade_tune.cli.options import format_option
from blade_tune.cli.output import page_width, print_facts
from blade_tune.errors import ConfigError
from blade_tune.printable import printable_lines

if TYPE_CHECKING:
    from blade_tune.data.raw.look.columns import Column
    from blade_tune.data.raw.look.guess import Guess
    from blade_tune.data.raw.look.look import Look

WIDTH, INDENT = 110, 13
KINDS = ("user", "item", "time", "type", "session", "rating")


@click.command("look")
@click.argument(
    "sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the guesses as a mapping file, log.yaml, which must not be there yet.",
)
@format_option
def look_at(sources: tuple[Path, ...], write: Path | None, form: str) -> None:
    """Tell what a log's columns mean, and how to prepare it.

    The first rows of each SOURCE are looked at, in seconds whatever its size: a file of any form that is read, an
    archive, a folder or a pattern. Several are parts of one log with columns of their own; their command needs a
    mapping file, which --write writes. Each guess has its reason, and what is not sure is said. Files are left alone.

    \b
    Example:
      blade-tune data look shop.csv
    """  # noqa: D301
    from blade_tune.data.raw.look import advice
    from blade_tune.data.raw.look.look import look
    from blade_tune.data.raw.mapping import is_mapping

    if write and not is_mapping(write):
        raise ConfigError(f"{write}: must end in .yaml, by which a mapping file is known.")
    if write and write.exists():
        raise ConfigError(f"{write}: is there already and left alone; give --write another name.")
    seen = look(sources)
    words = advice.command_of(seen.log)
    folder = write.parent if write else Path()
    text = advice.mapping_text(seen.log, folder, seen.doubts if write else ())
    if write:
        try:
            with write.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ConfigError(f"{write}: cannot be written ({error.strerror}).") from None
        words = [*advice.PREPARE, str(write)]
    command = advice.line_of(words) if words else None
    if form != "table":
        print_facts({**_facts(seen), "mapping": seen.log, "command": command}, form)
        return
    for line in _page(seen):
        click.echo(printable_lines(line))
    if command:
        click.echo(f"\n{printable_lines(command)}")
        return
    again = advice.line_of(
        ["blade-tune", "data", "look", *map(str, sources), "--write", "log.yaml"]
    )
    click.echo(f"\nA mapping file says this; write it with\n{printable_lines(again)}\n")
    click.echo(printable_lines(text), nl=False)


def _facts(seen: "Look") -> dict[str, Any]:
    """Return what was seen for programs."""
    files = {}
    for found in seen.guesses:
        peek = found.peek
        columns = {
            column.name: {
                "values": list(column.counts)[:5],
                "distinct": column.num_distinct,
                "missing": round(column.missing_share, 6),
                "meaning": _meaning(found, column.name),
                "reason": found.reasons.get(column.name),
            }
            for column in found.columns
        }
        files[str(peek.source)] = {
            "form": peek.form,
            "files": peek.num_files,
            "rows_looked_at": peek.num_rows,
            "is_whole": peek.is_whole,
            "has_header": peek.has_header,
            "encoding": peek.encoding or "utf-8",
            "time_unit": found.roles["time"].unit or "dates" if "time" in found.roles else None,
            "columns": columns,
        }
    facts = seen.facts
    return {
        "files": files,
        "time_span": facts.span,
        "left_out": facts.left_out,
        "sets_by_time": facts.sets_by_time,
        "sets_by_session": facts.sets_by_session,
        "repeats": facts.repeats,
        "notes": seen.doubts,
    }


def _meaning(found: "Guess", name: str) -> str | None:
    for kind in KINDS:
        if found.name_of(kind) == name:
            return kind
    return next((f"behavior {b}" for b, value in found.behaviors.items() if value == name), None)


def _page(seen: "Look") -> Iterator[str]:
    """Yield lines for people: each file with its columns, what was counted, what is not sure."""
    from blade_tune.data.raw.look.look import sets_words, span_words

    for found in seen.guesses:
        peek = found.peek
        files = f"{peek.num_files} files, " if peek.num_files > 1 else ""
        header = "" if peek.has_header else ", no header"
        encoding = f", {peek.encoding}" if peek.encoding else ""
        rows = "all" if peek.is_whole else "the first"
        yield (
            f"{peek.source}: {files}{peek.form}{header}{encoding}; {rows} {peek.num_rows:,} rows were looked at"
        )
        width = min(24, max(len(column.name) for column in found.columns)) + 2
        for column in found.columns:
            yield from _wrapped(f"  {column.name:<{width}}", _of_column(found, column))
    span = span_words(seen.facts, seen.guesses[0].roles.get("time"))
    if span:
        yield from _wrapped("time", span)
    sets = sets_words(seen)
    if sets:
        yield from _wrapped("sets", sets)
    left_out = ", ".join(f"{k.replace('_', ' ')} {n:,}" for k, n in seen.facts.left_out.items())
    if left_out:
        yield from _wrapped("left out", left_out)
    for number, doubt in enumerate(seen.doubts):
        yield from _wrapped("" if number else "mind", f"- {doubt}")


def _of_column(found: "Guess", column: "Column") -> str:
    """Return what a column probably means, why, and its values."""
    if column.is_nested:
        return "objects or lists"
    meaning, reason = _meaning(found, column.name), found.reasons.get(column.name)
    words = f"{meaning} ({reason}); " if meaning and reason else ""
    words += f"{column.num_distinct:,} values: {column.shown()}" if column.counts else "empty"
    return f"{words}; missing in {column.missing_share:.1%}" if column.missing_share else words


def _wrapped(label: str, words: str) -> list[str]:
    return textwrap.wrap(
        printable_lines(words).replace("\n", " "),
        page_width(WIDTH),
        initial_indent=f"{label:<{INDENT}}",
        subsequent_indent=" " * (INDENT + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )

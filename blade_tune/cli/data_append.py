"""Option `--append` of `blade-tune data prepare event-log`, which adds newer rows to a log that was prepared."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blade_tune.cli.given import require_as_before, require_none_beside
from blade_tune.cli.output import print_facts
from blade_tune.cli.steps import watch_steps
from blade_tune.errors import ConfigError

if TYPE_CHECKING:
    from blade_tune.data.versions import Version

append_option = click.option(
    "--append",
    is_flag=True,
    help="Add newer rows to the log of --name (or --out), and write the next version of its split beside it.",
)


def append_rows(
    source: Path, name: str | None, out: Path | None, form: str, *, quiet: bool
) -> None:
    """Add the rows of a file to a log, print what became of it, and write a study of its next version.

    Args:
        source: the file with newer rows, or a mapping file.
        name: the name of the data set; its folder is data/NAME.
        out: the folder of the data set, if it is another.
        form: how to print facts: "table", "json" or "csv".
        quiet: whether to print facts alone.

    Raises:
        ConfigError: no log is named, or a flag differs from those of the log.
        DataError: no log is prepared there, or the file cannot be added to it.
    """
    from blade_tune.data.raw.append import append
    from blade_tune.data.raw.mapping import MappingFile, is_mapping
    from blade_tune.data.versions import versions_of

    if is_mapping(source):
        require_none_beside(source, ("--name", "--out"))
        name = name or MappingFile.read(source).log.name
    if out is None and name is None:
        raise ConfigError("--append needs the --name (or --out) of the log that rows are added to.")
    folder = out or Path("data") / str(name)
    versions = versions_of(folder)
    if not versions:
        raise ConfigError(f"{folder}: no log is prepared there; leave out --append to prepare one.")
    before = versions[-1]
    require_as_before(before.facts.get("command", {}), before.folder)
    with watch_steps(quiet) as on_step:
        after = append(before, source, on_step)
    newest = after or before
    print_facts(_shown(newest, added=after is not None), form)
    has_study = _write_study(newest)
    if quiet:
        return
    for sentence in _sentences(before, after, source):
        click.echo(sentence, err=True)
    if has_study:
        click.echo(f"next: blade-tune run --study {newest.study}", err=True)


def _shown(version: "Version", *, added: bool) -> dict[str, Any]:
    facts = version.facts
    shown = {
        "folder": str(version.folder),
        "users": facts["users"],
        "items": facts["items"],
        "interactions": sum(facts["parts"].values()),
        "parts": facts["parts"],
        "rows_read": facts["rows"],
        "left_out": {reason: count for reason, count in facts["left_out"].items() if count},
    }
    if added:
        names = ("added", "already", "late", "earlier_test_rows")
        return shown | {name: facts["version"][name] for name in names}
    return {**shown, "added": 0}


def _sentences(before: "Version", after: "Version | None", source: Path) -> list[str]:
    """Return what was added and what that means, for people."""
    if after is None:
        return [f"{before.folder}: has all rows of {source.name} already; nothing was written."]
    facts = after.facts["version"]
    added = f"{after.folder}: {facts['added']:,} rows of {source.name} were added to the log of {before.folder}"
    if facts["already"]:
        added += f", {facts['already']:,} were there already"
    sentences = [f"{added}."]
    if facts["late"]:
        sentences.append(
            f"{facts['late']:,} of them are older than the last row that was there; they stand at their own times."
        )
    sentences.append(earlier_test_words(before.folder.name, after.folder.name, facts))
    sentences.append(f"{before.folder} is as it was; its test rows stay sealed for its studies.")
    return sentences


def earlier_test_words(before: str, after: str, facts: dict[str, Any]) -> str:
    """Return what became of the test rows of the version before, and what follows for models.

    Args:
        before: the name of the version before.
        after: the name of the version with the newer rows.
        facts: what is recorded of the latter as a version.
    """
    now = facts["earlier_test_rows"]
    total = sum(now.values())
    places = ", ".join(f"{count:,} {part}" for part, count in now.items() if count)
    return (
        f"Of the {total:,} test rows of {before}, this is what they are in {after}: {places or 'none'}. A model that "
        f"was trained on {after} has seen those of train and valid, so judge it on the test rows of {after} alone."
    )


def _write_study(newest: "Version") -> bool:
    """Write a study of a later version like that of an earlier one, unless it has one; return whether it is later."""
    from blade_tune.data.versions import numbered
    from blade_tune.spec.template import write_next_study

    if newest.number == 1:
        return False
    names = [numbered(newest.facts["name"], number) for number in range(newest.number, 0, -1)]
    study, *earlier = [Path("studies") / f"{name}.yaml" for name in names]
    write_next_study(study, earlier, newest.facts, newest.folder)
    return True

"""How a guessed log is told to `data prepare event-log`: by flags, or by a mapping file."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blade_tune.config import write_yaml
from blade_tune.data.raw.look.guess import BEHAVIORS, Guess, missing
from blade_tune.printable import printable

OPENING = (
    "# Written by `blade-tune data look`: guesses, yours to correct. docs/data.md has every key.\n"
)
PREPARE = ("blade-tune", "data", "prepare", "event-log", "--source")
FLAGS = ("user", "item", "time", "type", "session", "encoding")


def entry_of(found: Guess, *, with_session: bool) -> dict[str, Any]:
    """Return what a mapping file says of a source, without what is as usual.

    Args:
        found: the guesses.
        with_session: whether rows of one session merge.
    """
    header = [] if found.peek.has_header else [column.name for column in found.columns]
    behaviors = {name: _escaped(value) for name, value in found.behaviors.items()}
    entry = {
        "source": str(found.peek.source),
        "user": found.name_of("user") or missing("user"),
        "item": found.name_of("item") or missing("item"),
        "time": found.name_of("time"),
        "type": found.name_of("type"),
        "session": found.name_of("session") if with_session else None,
        "behaviors": behaviors or {BEHAVIORS: BEHAVIORS},
        "thresholds": dict(found.thresholds),
        "header": header,
        "encoding": found.peek.encoding,
    }
    return {key: value for key, value in entry.items() if value}


def log_of(guesses: Sequence[Guess], *, with_session: bool) -> dict[str, Any]:
    """Return the content of a mapping file."""
    entries = [entry_of(found, with_session=with_session) for found in guesses]
    order = next((found.date_order for found in guesses if found.date_order), None)
    log: dict[str, Any] = {"date_order": order} if order else {}
    names = list(dict.fromkeys(name for entry in entries for name in entry["behaviors"]))
    if len(names) > 1:
        log["auxiliary"] = auxiliary_of(guesses)[0]
    return {**log, **entries[0]} if len(entries) == 1 else {**log, "files": entries}


def auxiliary_of(guesses: Sequence[Guess]) -> tuple[str, str]:
    """Return the behavior that is no target, the first weak one or else the first of all, and the first of all."""
    strengths = {n: s for found in guesses for n, s in found.strengths.items()}
    names = list(strengths) or [BEHAVIORS]
    weak = [name for name in names if strengths.get(name) == "weak"]
    return (weak or names)[0], names[0]


def mapping_text(log: Mapping[str, Any], folder: Path, doubts: Sequence[str]) -> str:
    """Return a mapping file.

    Args:
        log: from `log_of`.
        folder: the folder of the file, from which sources are named.
        doubts: sentences that stand above it.
    """
    if "files" in log:
        content = {**log, "files": [_shown(entry, folder) for entry in log["files"]]}
    else:
        content = _shown(log, folder)
    lines = [f"# {printable(' '.join(doubt.split()))}\n" for doubt in doubts]
    return "".join([OPENING, *lines]) + write_yaml(content)


def _shown(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return an entry as a person would write it: sources from the folder, behaviors that name themselves as a list."""
    source, behaviors = Path(entry["source"]).absolute(), entry["behaviors"]
    is_plain = all(name == value for name, value in behaviors.items())
    return {
        **entry,
        "source": str(_relative(source, folder.absolute())),
        "behaviors": list(behaviors) if is_plain else behaviors,
    }


def _relative(source: Path, folder: Path) -> Path:
    try:
        return source.relative_to(folder)
    except ValueError:
        return source


def command_of(log: Mapping[str, Any]) -> list[str] | None:
    """Return the words of the command that prepares a log of one file; None if only a mapping file can tell it."""
    if "files" in log or not _fits_flags(log):
        return None
    words = [*PREPARE, log["source"]]
    for name in FLAGS:
        if name in log:
            words += [f"--{name}", log[name]]
    if "header" in log:
        words += ["--header", ",".join(log["header"])]
    if "date_order" in log:
        words += ["--date-order", log["date_order"]]
    if "thresholds" in log:
        ((column, least),) = log["thresholds"].items()
        return [*words, "--rating", column, "--like-from", f"{least:g}"]
    listed = [n if n == value else f"{n}={value}" for n, value in log["behaviors"].items()]
    words += ["--behaviors", ",".join(listed)]
    if "auxiliary" in log:
        words += ["--auxiliary", log["auxiliary"]]
    return words


def _fits_flags(log: Mapping[str, Any]) -> bool:
    """Return whether lists can be written with commas, at which flags divide them."""
    texts = [*log["behaviors"].values(), *log.get("header", ())]
    return all("," not in text and text == text.strip() for text in texts)


def line_of(words: Sequence[str]) -> str:
    """Return a command as a line for a shell."""
    return shlex.join(words)


def _escaped(value: str) -> str:
    return value.replace("|", "\\|")

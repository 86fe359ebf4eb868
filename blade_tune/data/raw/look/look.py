"""A first look at a log: what was seen, what it probably means, what is not sure, and the command that prepares it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.look import advice
from blade_tune.data.raw.look.behaviors import find_behaviors
from blade_tune.data.raw.look.columns import Column
from blade_tune.data.raw.look.facts import Counted, facts_of
from blade_tune.data.raw.look.guess import Guess
from blade_tune.data.raw.look.known import advice_of, known_as
from blade_tune.data.raw.look.peek import Peek, peek
from blade_tune.data.raw.look.roles import find_roles
from blade_tune.data.raw.look.words import NOBODY, plain
from blade_tune.data.raw.mapping import FileMapping, LogMapping, MappingFile
from blade_tune.data.raw.since_1970 import date_of
from blade_tune.errors import ConfigError, DataError

GIANT, NOBODYS = 0.2, 0.01  # shares of rows of one user that are worth a sentence
OFTEN = 3  # times as many rows as others have
MANY_REPEATS = 0.05


@dataclass(frozen=True)
class Look:
    """What a first look found."""

    guesses: list[Guess]
    facts: Counted
    log: dict[str, Any]  # content of a mapping file
    doubts: list[str]  # sentences on what is not sure, or wrong


def look(sources: Sequence[Path]) -> Look:
    """Look at the first rows of each source of a log.

    Args:
        sources: files, archives, folders or patterns, one for each kind of columns.

    Raises:
        DataError: a source is missing, damaged, empty, or of no form that is read.
    """
    guesses = [_guess_of(_peek(source)) for source in sources]
    doubts = []
    for found in guesses:
        prefix = f"{found.peek.source}: " if len(guesses) > 1 else ""
        sentences = [*(f"{note}." for note in found.peek.notes), *found.doubts, *_of_users(found)]
        doubts += [prefix + sentence for sentence in sentences]
    doubts += _together(guesses)
    facts = _facts(guesses)
    if facts.refusal and "--date-order" in facts.refusal:
        guesses[0].date_order = "month"
        doubts.append(
            "no row shows whether the day or the month comes first in dates: month was taken; --date-order day is "
            "as good."
        )
        facts = _facts(guesses)
    if facts.refusal:
        doubts.append(f"`data prepare` will refuse this: {facts.refusal}")
    log = advice.log_of(guesses, with_session=facts.needs_session)
    return Look(guesses, facts, log, doubts + _of_facts(guesses, facts))


def _peek(source: Path) -> Peek:
    """Read the first rows of a source; where that cannot be, say which known logs have files of such names."""
    try:
        return peek(source)
    except DataError as error:
        known = known_as(source) if source.exists() else []
        if not known:
            raise
        more = " ".join(
            f"It has the names of the files of {log}; {advice_of(log, source)}" for log in known
        )
        raise DataError(f"{error} {more}") from None


def _guess_of(rows: Peek) -> Guess:
    """Return what the columns of a source probably mean."""
    columns = [Column(name, values, name in rows.nested) for name, values in rows.columns.items()]
    found = Guess(rows, columns)
    for log in known_as(rows.source, rows):
        found.doubts.append(
            f"{rows.source.name} is called as a file of {log} and has its columns; {advice_of(log, rows.source)}"
        )
    nested = sorted(rows.nested)
    if nested:
        found.doubts.append(
            f"{', '.join(nested)}: objects, lists or long numbers, which are not read; write each event as a row "
            "of its own, and each value that is meant as a column."
        )
    find_roles(found)
    find_behaviors(found)
    return found


def _facts(guesses: Sequence[Guess]) -> Counted:
    log = advice.log_of(guesses, with_session=True)
    entries = log.get("files", [log])
    if any(kind not in found.roles for found in guesses for kind in ("user", "item")):
        return Counted()
    own = {key: value for key, value in log.items() if key in ("date_order",)}
    files = [
        {key: value for key, value in entry.items() if key in FileMapping.model_fields}
        for entry in entries
    ]
    try:
        mapping = LogMapping.model_validate({**own, "files": files})
        parts: Sequence[LogPart] = MappingFile(Path("log.yaml"), mapping).parts()
    except (ConfigError, ValueError) as error:
        return Counted(refusal=str(error).splitlines()[0])
    return facts_of(guesses, parts)


def _of_users(found: Guess) -> list[str]:
    """Return sentences on users and items that are none."""
    sentences = []
    rows = found.peek.num_rows
    for kind in ("user", "item"):
        column = found.roles.get(kind)
        if column is None:
            continue
        words = found.peek.missing.get(column.name, {})
        shown = ", ".join(
            f"{word or 'nothing'} {count / rows:.1%}" for word, count in words.items()
        )
        if shown:
            sentences.append(
                f"{column.name}: no {kind} is in rows with {shown}; they are left out."
            )
        value, count = next(iter(column.counts.most_common(1)), ("", 0))
        is_often = count >= max(NOBODYS * rows, OFTEN * rows / max(1, column.num_distinct))
        is_nobody = plain(value) in NOBODY and is_often
        if kind == "user" and (is_nobody or (count >= GIANT * rows and column.num_distinct >= 20)):
            sentences.append(
                f"{column.name}: {count / rows:.1%} of the rows are of {value!r}; if that is nobody, take them out."
            )
    return sentences


def _together(guesses: Sequence[Guess]) -> list[str]:
    """Return sentences on files that do not go together."""
    if len(guesses) < 2:
        return []
    sentences = []
    units = {}
    for found in guesses:
        time = found.roles.get("time")
        units[str(found.peek.source)] = "none" if time is None else time.unit or "dates"
    if len(set(units.values())) > 1:
        shown = ", ".join(f"{source} {unit}" for source, unit in units.items())
        sentences.append(
            f"times must be of one kind in all files, and are: {shown}; write them alike first."
        )
    first = guesses[0].roles.get("user")
    for found in guesses[1:]:
        user = found.roles.get("user")
        if first and user and not first.counts.keys() & user.counts.keys():
            sentences.append(
                f"no user of {found.peek.source} is in the rows of {guesses[0].peek.source} that were looked at: are "
                "these the same ids?"
            )
    return sentences


def _of_facts(guesses: Sequence[Guess], facts: Counted) -> list[str]:
    """Return sentences on what follows from counts."""
    sentences = []
    names = {name for found in guesses for name in found.behaviors}
    by_time, by_session = facts.sets_by_time, facts.sets_by_session
    auxiliary, first = advice.auxiliary_of(guesses)
    if len(guesses) == 1 and auxiliary != first:
        sentences.append(
            f"{auxiliary} is no target (--auxiliary) by its name; {first} is more frequent and could be it as well."
        )
    if len(names) > 1 and not facts.refusal and facts.rows:
        if facts.needs_session:
            sentences.append(
                f"rows of one session merge (--session), which makes {by_session:.1%} of the interactions sets of "
                f"more than one behavior; by their times alone {by_time:.1%} would be."
            )
        elif by_session is not None and by_session > by_time:
            sentences.append(
                f"with --session {by_session:.1%} of the interactions would have more than one behavior, without it "
                f"{by_time:.1%}."
            )
        elif not by_time:
            session = "" if by_session is not None else "a column of visits (--session), or "
            sentences.append(
                "no user has two behaviors with one item at one time, so there are no sets of more than one behavior; "
                f"{session}times rounded to the hour or the day would make some."
            )
    if facts.repeats >= MANY_REPEATS:
        sentences.append(
            f"{facts.repeats:.0%} of the interactions repeat a user's item and behaviors, and are left out; "
            "--keep-repeats keeps them."
        )
    return sentences


def sets_words(seen: Look) -> str:
    """Return how many interactions have more than one behavior; "" where there is only one behavior."""
    facts = seen.facts
    if not facts.rows or len({name for found in seen.guesses for name in found.behaviors}) < 2:
        return ""
    share = facts.sets_by_session if facts.needs_session else facts.sets_by_time
    key = "session" if facts.needs_session else "time"
    if "time" not in seen.guesses[0].roles and key == "time":
        return f"{share:.1%} of the rows have more than one behavior"
    return f"{share:.1%} of the interactions have more than one behavior, for rows of a user, item and {key} merge"


def span_words(facts: Counted, time: Column | None) -> str:
    """Return the first and the last time that were looked at, as dates where numbers are such."""
    if not facts.span or time is None:
        return ""
    ends = [facts.span["first"], facts.span["last"]]
    unit = time.unit
    if unit is not None and not unit.startswith("days"):
        ends = [date_of(float(end), unit) for end in ends]
    return " to ".join(ends)

"""The commands that make a data set's files, remembered with the results, so that an error can name them.

What `data prepare` recorded lies in the folder of the data, and is gone with it; so the results keep the commands of
each folder that was ever read.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from blade_tune.data import folder
from blade_tune.errors import ConfigError, MissingDataError

ROOT = ".origins"  # in the results folder


def commands_of(facts: Mapping[str, Any], place: Path) -> list[str]:
    """Return the commands that prepare a folder again, first the log and then each file of newer rows.

    Args:
        facts: what `data prepare` recorded; {} or that of an earlier version gives no commands.
        place: the folder.
    """
    command, version = facts.get("command"), facts.get("version", {})
    if not command:
        return []
    origins = version.get("files", [facts["source"]])
    files = [file.get("mapping", file["file"]) for file in origins]
    out = str(place.with_name(version["of"])) if version else str(place)
    words = ["blade-tune", "data", "prepare", command["name"], "--source", files[0]]
    for flag, values in command["flags"].items():
        words += [flag] if not values else [word for value in values for word in (flag, value)]
    commands = [[*words, "--out", out]]
    for file in files[1:]:
        more = ["--append", "--source", file, "--out", out]
        commands.append(["blade-tune", "data", "prepare", command["name"], *more])
    return [shlex.join(command) for command in commands]


def remember(commands: Sequence[str], results: Path, directory: Path) -> None:
    """Keep the commands that make the files of a folder with the results; where they cannot be kept, they are not.

    Args:
        commands: from `Source.commands`; nothing is kept where there are none.
        results: the folder of everything that runs write.
        directory: the folder of data as a study names it.
    """
    path = _path(results, directory)
    if not commands or _read(path) == list(commands):
        return
    with suppress(ConfigError), folder.whole_file(path) as new:
        new.write_text(json.dumps(list(commands)), encoding="utf-8")


@contextmanager
def named(results: Path, directory: Path | None) -> Iterator[None]:
    """Let an error on missing files name the commands that made them, where the results remember those.

    Args:
        results: the folder of everything that runs write.
        directory: the folder of data as a study names it.
    """
    try:
        yield
    except MissingDataError as error:
        commands = _read(_path(results, directory)) if directory else []
        if not commands:
            raise
        raise MissingDataError(
            error.fact,
            f"prepare the data again, `{' && '.join(commands)}` (with the path of the log), or name its folder with "
            "--data DIR.",
        ) from None


def _path(results: Path, directory: Path) -> Path:
    place = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()
    return results / ROOT / f"{place}.json"


def _read(path: Path) -> list[str]:
    try:
        commands = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return list(map(str, commands)) if isinstance(commands, list) else []

"""A template of a study file for new data, written by `blade-tune data`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blade_tune.config import read_yaml, write_yaml

OPENING = "# Written by `blade-tune data`; yours to edit. docs/studies.md has every key.\n"


def write_study(
    path: Path, data: Mapping[str, Any], directory: Path | None, *, may_repeat: bool = False
) -> bool:
    """Write a study file for a search of BLADE on some data, unless the file exists.

    Args:
        path: the study file to write.
        data: the section `data` of the file.
        directory: the folder with the files of the data; None for data without files.
        may_repeat: whether users meet items again, so that items of the history are ranked too.

    Returns:
        Whether the file was written; an existing one is left as it is.
    """
    return write_new(path, study_text(data, directory, may_repeat=may_repeat))


def write_next_study(
    path: Path, earlier: Sequence[Path], facts: Mapping[str, Any], directory: Path
) -> bool:
    """Write a study file for newer data: as that for the data before, so that the two can be compared.

    Args:
        path: the study file to write, unless it exists.
        earlier: study files for earlier data, of which the first that exists is copied but for its folder of data.
        facts: what `data prepare` recorded of the data, for a new study where none exists.
        directory: the folder of the newer data.

    Returns:
        Whether the file was written.
    """
    for file in earlier:
        if file.is_file() and not path.exists():
            content = read_yaml(file)
            run = content.get("run")
            content["run"] = {**(run if isinstance(run, dict) else {}), "data": str(directory)}
            return write_new(path, OPENING + write_yaml(content))
    section = {
        "source": "split_files",
        "name": facts["name"],
        "behaviors": facts["log"]["behaviors"],
        "auxiliary": facts["auxiliary"],
    }
    return write_study(path, section, directory, may_repeat=facts["log"].get("keep_repeats", False))


def write_new(path: Path, text: str) -> bool:
    """Write a file of text unless it exists; return whether it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def study_text(data: Mapping[str, Any], directory: Path | None, *, may_repeat: bool = False) -> str:
    """Return the text of a study file for a search of BLADE on some data.

    Args:
        data: the section `data` of the file.
        directory: the folder with the files of the data; None for data without files.
        may_repeat: whether users meet items again, so that items of the history are ranked too.
    """
    study: dict[str, Any] = {
        "model": "blade",
        "space": "blade-any",
        "data": dict(data),
        **({"objective": {"exclude": "none"}} if may_repeat else {}),
        "train": {"max_epochs": 100, "eval_every": 5, "patience": 5},
        "search": {"trials": 50},
    }
    if directory is not None:
        study["run"] = {"data": str(directory)}
    return OPENING + write_yaml(study)

"""A template of a study file for new data, written by `blade-tune data`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.config import write_yaml

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
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(study_text(data, directory, may_repeat=may_repeat))
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

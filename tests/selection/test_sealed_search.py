"""A whole search, from the command line to the last worker, knows nothing of test rows."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.cli.program import finish, start, write_study
from tests.data.examples import SPLIT_FILES

USERS, ITEMS, LENGTH = 40, 30, 8
WATCHER = """
import os, sys

def watch(event, args):
    sealed = ("test.txt", "between_val_test.txt")
    if event == "open" and isinstance(args[0], str) and os.path.basename(args[0]) in sealed:
        descriptor = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, (args[0] + "\\n").encode())
        os.close(descriptor)

sys.addaudithook(watch)
"""


def write_data(folder: Path) -> None:
    """Split files of random users: the last two interactions of each are valid and test."""
    dice = random.Random(5)  # noqa: S311 - no secret
    parts: dict[str, list[str]] = {"train": [], "valid": [], "between_val_test": [], "test": []}
    for user in range(1, USERS + 1):
        rows = [
            f"{user},{dice.randint(1, ITEMS)},{dice.randint(0, 1)},1,{dice.randint(0, 1)},0"
            for _ in range(LENGTH)
        ]
        parts["train"] += [*rows[:-2], f"{user},{user % ITEMS + 1},1,0,0,0"]
        parts["valid"].append(rows[-2])
        parts["between_val_test"].append(f"{user},3,1,0,0,0")
        parts["test"].append(rows[-1])
    folder.mkdir()
    for name, lines in parts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def search(folder: Path, garbage: bytes | None, **env: str) -> StoredStudy:
    """Search in a folder of its own, with garbage as test rows."""
    folder.mkdir()
    write_study(folder / "studies" / "tiny.yaml", data=SPLIT_FILES, search={"trials": 4, "seed": 3})
    write_data(folder / "data")
    if garbage is not None:
        for name in ("test.txt", "between_val_test.txt"):
            (folder / "data" / name).write_bytes(garbage)
    ended = finish(
        start("run", "--study", "tiny", "--data", "data", "--workers", "1", cwd=folder, env=env)
    )
    assert ended.code == 0, ended.err
    return Workspace.at(None, folder / "results").study("tiny")


def found(stored: StoredStudy) -> list[tuple[Any, ...]]:
    """All that a search knows of its trials, but for times."""
    told = []
    for trial in stored.trials:
        files = stored.files(trial)
        attrs = {
            k: v
            for k, v in trial.user_attrs.items()
            if k not in ("seconds", "cpu_seconds", "threads", "clock", "files")
        }
        contents = (
            files.weights.read_bytes(),
            np.load(files.ranks).tolist(),
            files.config.read_text(),
        )
        told.append(
            (trial.state, trial.value, trial.params, attrs, trial.intermediate_values, *contents)
        )
    return told


@pytest.mark.slow
def test_garbage_in_the_test_files_changes_no_bit(tmp_path: Path):
    """Proposals, values, curves, weights and ranks of a search are equal whatever stands in the sealed files."""
    honest = search(tmp_path / "honest", None)
    garbage = search(tmp_path / "garbage", b"\xff\x00 not a row\n")
    assert found(honest) == found(garbage)
    assert honest.study.user_attrs["fingerprint"] == garbage.study.user_attrs["fingerprint"]


@pytest.mark.slow
def test_no_process_of_a_run_opens_a_test_file(tmp_path: Path):
    """An audit hook in the program and in every worker sees no opening in `run`, and sees those of export-best."""
    (tmp_path / "watcher").mkdir()
    (tmp_path / "watcher" / "sitecustomize.py").write_text(WATCHER)
    opened = tmp_path / "opened"
    env = {"PYTHONPATH": str(tmp_path / "watcher"), "OPENED": str(opened)}
    search(tmp_path / "watched", None, **env)
    assert not opened.exists()
    exported = finish(
        start("export-best", "--study", "tiny", cwd=tmp_path / "watched", env={**os.environ, **env})
    )
    assert exported.code == 0, exported.err
    assert {Path(line).name for line in opened.read_text().splitlines()} == {
        "test.txt",
        "between_val_test.txt",
    }

"""Small data sets for tests, and where the real one is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.catalog import Interactions
from blade_tune.data.config import DataConfig, data_config
from blade_tune.data.sequences import Windows
from blade_tune.data.sources.split_files import FILES

SPLIT_FILES: dict[str, Any] = {
    "name": "tiny",
    "source": "split_files",
    "behaviors": ["click", "like", "share", "follow"],
    "auxiliary": "click",
    "long_tail": ["share", "follow"],
}
SYNTHETIC = {**SPLIT_FILES, "name": "demo", "source": "synthetic"}

TINY = {  # users 3 and 8, whose rows are interleaved, and items with gaps; user 8 has no test row
    "train": ["8,20,1,0,0,0", "3,10,1,1,0,0", "8,40,0,1,0,0", "3,20,0,0,1,0", "8,10,1,0,0,0"],
    "valid": ["3,40,0,1,0,0", "8,20,0,0,0,1"],
    "between": ["3,10,1,0,0,0"],
    "test": ["3,20,1,1,0,0"],
}


def config(raw: Mapping[str, Any] = SPLIT_FILES, **changes: Any) -> DataConfig:
    """Settings of a data set, some of them changed."""
    return data_config({**raw, **changes}, "test")


def write_split(directory: Path, newline: str = "\n", **parts: Sequence[str]) -> Path:
    """Write TINY as split files, the parts given in place of its own; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for part, lines in {**TINY, **parts}.items():
        (directory / FILES[part]).write_bytes("".join(line + newline for line in lines).encode())
    return directory


def table(rows: Sequence[tuple[int, int, Sequence[int]]], num_behaviors: int = 4) -> Interactions:
    """Interactions from plain (user, item, set) rows."""
    return Interactions(
        np.array([user for user, _, _ in rows], np.int64),
        np.array([item for _, item, _ in rows], np.int64),
        np.array([behaviors for _, _, behaviors in rows], np.uint8).reshape(-1, num_behaviors),
    )


def whole(windows: Windows) -> Batch:
    """All rows of the windows."""
    return windows.rows(torch.arange(len(windows)))


def plain(rows: Interactions) -> list[tuple[int, int, tuple[int, ...]]]:
    """Interactions as plain (user, item, set) rows."""
    return [
        (int(user), int(item), tuple(int(value) for value in behaviors))
        for user, item, behaviors in zip(rows.users_N, rows.items_N, rows.sets_NK, strict=True)
    ]


def qk_video() -> Path:
    """The directory of the published QK-Video files; skips the test where they are absent."""
    beside = Path(__file__).parents[3] / "shared" / "data" / "qk-video"
    directory = Path(os.environ.get("TEST_BLADE_TUNE_DATA", beside))
    if not (directory / FILES["train"]).is_file():
        pytest.skip(
            f"the QK-Video split files are not in {directory}; TEST_BLADE_TUNE_DATA may name another place"
        )
    return directory


QK_VIDEO = {**SPLIT_FILES, "name": "qk-video"}

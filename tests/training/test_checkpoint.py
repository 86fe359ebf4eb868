"""Checkpoints: whole or not at all, as they were written or not used, and nothing in them is code."""

from pathlib import Path
from typing import Any

import pytest
import torch

from blade_tune.errors import DamagedFileError
from blade_tune.training.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    restore_rng,
    rng_state,
    save_checkpoint,
)
from tests.damage import damages


def test_what_is_saved_is_loaded(tmp_path: Path):
    """Tensors and plain data come back as they were, and no other file is left."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(
        path, {"weights": {"a": torch.arange(3)}, "history": [{"epoch": 1}], "value": 0.5}
    )
    state = load_checkpoint(path)
    assert torch.equal(state["weights"]["a"], torch.arange(3))
    assert (state["history"], state["value"]) == ([{"epoch": 1}], 0.5)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["torch.save", "os.fsync", "pathlib.Path.replace"])
def test_a_failure_in_the_middle_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    """Whatever step of saving breaks, the file still holds the state of before."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})

    def broken(*_: object) -> None:
        if place == "torch.save":
            Path(path.with_name("checkpoint.pt.tmp")).write_bytes(b"half of it")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(place, broken)
        with pytest.raises(OSError, match="disk full"):
            save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path) == {"epoch": 1}
    save_checkpoint(path, {"epoch": 3})
    assert load_checkpoint(path) == {"epoch": 3}


STATE = {
    "weights": {"a": torch.arange(12.0)},
    "rng": torch.arange(9, dtype=torch.uint8),
    "history": [{"epoch": 1}],
}


def test_a_damaged_checkpoint_is_never_another_state(tmp_path: Path):
    """Of 1,000 damaged files each is refused or gives what was saved."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    assert is_as_saved(load_checkpoint(path))
    refused = 0
    for name, damage in damages(1000, seed=3):
        path.write_bytes(damage(whole))
        try:
            state = load_checkpoint(path)
        except DamagedFileError:
            refused += 1
        else:
            assert is_as_saved(state), name
    assert refused > 900


def is_as_saved(state: dict[str, Any]) -> bool:
    same = torch.equal(state["weights"]["a"], STATE["weights"]["a"]) and torch.equal(
        state["rng"], STATE["rng"]
    )
    return same and state["history"] == STATE["history"]


def test_an_unreadable_checkpoint_is_a_missing_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """One that is cut, a folder or of an earlier version goes with a warning that names it; nothing is said of none."""
    path = tmp_path / "checkpoint.pt"
    assert find_checkpoint(path) is None
    assert caplog.records == []
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[:-1])
    assert find_checkpoint(path) is None
    torch.save(STATE, path)
    assert find_checkpoint(path) is None
    path.mkdir()
    assert find_checkpoint(path) is None
    assert not path.exists()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert all(f"{path}: must be a checkpoint" in record.getMessage() for record in caplog.records)


class Attack:
    def __reduce__(self):
        return (exit, ("a checkpoint ran code",))


def test_loading_runs_no_code(tmp_path: Path):
    """A checkpoint that holds code is refused."""
    save_checkpoint(tmp_path / "evil.pt", {"model": Attack()})
    with pytest.raises(DamagedFileError, match="UnpicklingError"):
        load_checkpoint(tmp_path / "evil.pt")


def test_random_numbers_go_on_where_they_stood():
    """Draws after `restore_rng` are those that followed `rng_state`."""
    state = rng_state()
    first = torch.rand(5)
    restore_rng(state)
    assert torch.equal(torch.rand(5), first)

"""Checkpoints: whole or not at all, and nothing in them is code."""

from pathlib import Path

import pytest
import torch

from blade_tune.errors import DamagedFileError
from blade_tune.training.checkpoint import load_checkpoint, restore_rng, rng_state, save_checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path):
    """Tensors and plain data come back as they were, and no other file is left."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"weights": {"a": torch.arange(3)}, "history": [{"epoch": 1}], "value": 0.5})
    state = load_checkpoint(path)
    assert torch.equal(state["weights"]["a"], torch.arange(3))
    assert (state["history"], state["value"]) == ([{"epoch": 1}], 0.5)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["torch.save", "os.fsync", "pathlib.Path.replace"])
def test_a_failure_in_the_middle_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str):
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


class Attack:
    def __reduce__(self):
        return (exit, ("a checkpoint ran code",))


def test_loading_runs_no_code(tmp_path: Path):
    """A checkpoint that holds code is refused."""
    torch.save({"model": Attack()}, tmp_path / "evil.pt")
    with pytest.raises(DamagedFileError, match="UnpicklingError"):
        load_checkpoint(tmp_path / "evil.pt")


def test_random_numbers_go_on_where_they_stood():
    """Draws after `restore_rng` are those that followed `rng_state`."""
    state = rng_state()
    first = torch.rand(5)
    restore_rng(state)
    assert torch.equal(torch.rand(5), first)

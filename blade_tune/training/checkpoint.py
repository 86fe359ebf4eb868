"""Checkpoints: the whole state of a training in one file with a checksum, written atomically.

The archive in the file is one of `torch.save`. It is loaded with `weights_only=True`, so that a file from an untrusted
place cannot run code.
"""

import io
import logging
from pathlib import Path
from typing import Any

import torch

from blade_tune.errors import DamagedFileError
from blade_tune.files import remove
from blade_tune.training.checkpoint_file import damaged, read_archive, write_archive

log = logging.getLogger(__name__)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; a crash or a full disk at any moment leaves either the old file or the new one.

    Args:
        path: the file.
        state: tensors, numbers, text, and lists and mappings of these.

    Raises:
        OSError: the file cannot be written.
    """
    # Torch writes to memory, and not to the file, whose own error it would hide behind one about positions.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    write_archive(path, content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state from a file that `save_checkpoint` wrote, with tensors on the CPU.

    Raises:
        DamagedFileError: the file cannot be read, or is not as it was written.
    """
    try:
        archive = io.BytesIO(read_archive(path))
        state: dict[str, Any] = torch.load(archive, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises errors of many kinds for a damaged archive
        raise damaged(path, error) from None
    return state


def find_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the state from a checkpoint file, or None if there is no usable file.

    A damaged file is removed and logged as a warning, since a training can always start anew.
    """
    if not path.exists():
        return None
    try:
        return load_checkpoint(path)
    except DamagedFileError as error:
        log.warning("%s It is removed, and the training starts anew.", error)
        remove(path)
        return None


def rng_state() -> dict[str, Any]:
    """Return the states of all random generators that training draws from: torch's on the CPU and on every GPU."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Set all random generators to states that `rng_state` returned.

    A GPU's state is ignored on a machine without a GPU, where the same numbers cannot be drawn anyway.
    """
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])

"""A training's whole state in one file with its checksum, replaced as a whole."""

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch

from blade_tune.errors import DamagedFileError
from blade_tune.files import remove, write_whole

log = logging.getLogger(__name__)

HEAD = b"blade-tune checkpoint 1\n"  # then the SHA-256 of all that follows it
DIGEST_BYTES = 32


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write the state so that a crash or a full disk at any moment leaves either the old file or the new one.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()  # torch hides a file's own error behind one about positions
    torch.save(state, buffer)
    content = buffer.getbuffer()
    write_whole(path, HEAD, hashlib.sha256(content).digest(), content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, tensors on the CPU; runs no code from the file.

    Raises:
        DamagedFileError: it is not as it was written.
    """
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(_content(path)), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive ends in errors of any kind
        what = error if isinstance(error, OSError | ValueError) else type(error).__name__
        raise DamagedFileError(f"{path}: must be a checkpoint as it was written, and is not ({what}).") from None
    return state


def find_checkpoint(path: Path) -> dict[str, Any] | None:
    """The same, or None where there is none to go on from: a damaged one is removed, with a warning."""
    if not path.exists():
        return None
    try:
        return load_checkpoint(path)
    except DamagedFileError as error:
        log.warning("%s It is removed, and the training starts anew.", error)
        remove(path)
        return None


def _content(path: Path) -> bytes:
    """The archive that torch wrote, verified."""
    content = path.read_bytes()
    if not content.startswith(HEAD):
        raise ValueError("it does not begin as those of this version do")
    start = len(HEAD) + DIGEST_BYTES
    if hashlib.sha256(content[start:]).digest() != content[len(HEAD) : start]:
        raise ValueError("its checksum is another")
    return content[start:]


def rng_state() -> dict[str, Any]:
    """The state of every random generator that training draws from."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def restore_rng(state: dict[str, Any]) -> None:
    """Go on drawing where `rng_state` stood."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])

"""Loading of the trained models that a combination (an ensemble of other studies' models) is made of.

When a combination's study is created, the weights of its members are copied into its folder, and their digests become
part of the study's definition. They are checked against those digests here before use.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from blade_tune.errors import DataError
from blade_tune.files import sha256
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.folder import StudyFolder

if TYPE_CHECKING:
    from torch import Tensor

AS_THEN = "must hold a member's weights as they were when the combination was made."


def member_states(definition: StudyDefinition) -> "list[dict[str, Tensor]]":
    """Return the verified weights of each member of a stored combination, in the order of its members.

    Raises:
        DataError: a file is missing, or is not the one that the combination was made with.
    """
    assert definition.home is not None, "a stored study has a folder"  # noqa: S101 - for the type checker
    folder = StudyFolder(definition.home.parent, definition.home.name)
    states = []
    for index, member in enumerate(definition.settled_members):
        states.append(_state(folder.member(index), member.digest))
    return states


@lru_cache(maxsize=8)  # a worker needs its members' weights for every trial
def _state(path: Path, digest: str) -> "dict[str, Tensor]":
    from safetensors.torch import load_file  # loads torch

    if not is_whole(path, digest):
        raise DataError(
            f"{path}: {AS_THEN} "
            "`blade-tune run` of the combination copies them again from their study."
        )
    return load_file(path)


def is_whole(path: Path, digest: str) -> bool:
    """Return whether a file exists and has this SHA-256."""
    return path.is_file() and sha256(path) == digest

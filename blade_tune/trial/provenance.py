"""Provenance of a model: versions, git commit, device, threads and command line, for training it again."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blade_tune.about import FOLDER
from blade_tune.redact import redacted_value

if TYPE_CHECKING:
    import torch

# Variables that git sets for a hook, and that would redirect a git command to the hook's repository.
OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
PACKAGES = ("blade-tune", "torch", "optuna", "numpy", "sqlalchemy")


@cache
def software(device: "torch.device") -> dict[str, Any]:
    """Return the versions, the commit and the device's name: what may make two trainings of one seed differ.

    Returns:
        `versions`: package name -> version; `commit`: see `_commit`, None where not known; `device`: text.
    """
    packages = {name: version(name) for name in PACKAGES}
    return {
        "versions": {"python": platform.python_version(), **packages},
        "commit": _commit(),
        "device": _device_name(device),
    }


def software_lines(device: "torch.device") -> dict[str, str]:
    """Return versions, commit and device as one line of text each, for a trial's attributes in the dashboard."""
    facts = software(device)
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    commit = facts["commit"] or "unknown"
    return {"versions": versions, "commit": commit, "device": facts["device"]}


def environment(device: "torch.device") -> dict[str, Any]:
    """Return `software` together with the number of CPU threads, the command line and the time now.

    Passwords in the command line are redacted.
    """
    import torch  # not with the module, which reading commands import

    arguments = [redacted_value(argument) for argument in sys.argv[1:]]
    return {
        **software(device),
        "threads": torch.get_num_threads(),
        "command": " ".join(["blade-tune", *arguments]),
        "created": now(),
    }


def now() -> str:
    """Return the time now, in UTC, as an ISO 8601 text to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _device_name(device: "torch.device") -> str:
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return platform.machine() + " cpu"


def _commit() -> str | None:
    """Return the commit of the git checkout that the package runs from, with a + if tracked files were changed.

    None where the package's files are not tracked by git. A virtual environment that lies inside some repository is
    such a case: that repository's commit says nothing about the package.
    """
    file = FOLDER / "__init__.py"
    describe = ("describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*")
    try:
        _git("ls-files", "--error-unmatch", file.name, folder=file.parent)
        commit = _git(*describe, folder=file.parent)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit or None


def _git(*words: str, folder: Path) -> str:
    """Return the output of a git command in a folder's own repository, even when this process runs in a git hook."""
    env = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    process = subprocess.run(  # noqa: S603 - no word comes from outside this module
        ["git", *words],  # noqa: S607 - git as on PATH
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return process.stdout.strip()

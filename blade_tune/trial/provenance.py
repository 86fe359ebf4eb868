"""Where a model came from: enough to make it again."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import blade_tune
from blade_tune.redact import redacted_value

OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
PACKAGES = ("blade-tune", "torch", "optuna", "numpy", "sqlalchemy")


@cache
def software(device: torch.device) -> dict[str, Any]:
    """Versions, commit and device: what another training of the same seed may differ by."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": _commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() + " cpu",
    }


def software_lines(device: torch.device) -> dict[str, str]:
    """The same, each as a line of text: a trial's attributes, which the dashboard shows."""
    known = software(device)
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    return {"versions": versions, "commit": known["commit"] or "unknown", "device": known["device"]}


def environment(device: torch.device) -> dict[str, Any]:
    """The same, with threads, command and time."""
    return {
        **software(device),
        "threads": torch.get_num_threads(),
        "command": " ".join(["blade-tune", *map(redacted_value, sys.argv[1:])]),
        "created": now(),
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """The commit of the checkout that the package's own files are tracked in, with + if files differ from it.

    None where there is none: a virtual environment inside some other repository is not part of it.
    """
    file = Path(blade_tune.__file__)
    try:
        _git("ls-files", "--error-unmatch", file.name, folder=file.parent)
        return _git("describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*", folder=file.parent) or None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str, folder: Path) -> str:
    """What git says of the repository that a folder is in, whichever one a hook that runs this names in variables."""
    env = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    done = subprocess.run(  # noqa: S603 - no word of it is anybody else's
        ["git", *words],  # noqa: S607 - git as on PATH
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()

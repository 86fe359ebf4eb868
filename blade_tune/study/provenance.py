"""Where a model came from: enough to make it again."""

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
        "command": " ".join(["blade-tune", *sys.argv[1:]]),
        "created": now(),
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """The commit of the checkout that the package runs from, with + if files differ from it; None outside one."""
    folder = Path(blade_tune.__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],  # noqa: S607 - git as on PATH
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() or None

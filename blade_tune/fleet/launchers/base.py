"""What a launcher is, and how it is chosen."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from blade_tune.errors import ConfigError
from blade_tune.fleet.launchers import LAUNCHERS
from blade_tune.fleet.launchers.job import Ended, Job
from blade_tune.fleet.settings import RunSettings
from blade_tune.registry import load

Options = Mapping[str, Any]


class Launcher(ABC):
    """Has a cluster run jobs; all that it says about them it says at once.

    Args:
        settings: of the run.
        options: of the cluster.
        folder: for what the cluster writes; the study's own.

    Raises:
        ConfigError: it is not installed, is not there, or does not know an option.
    """

    @abstractmethod
    def __init__(self, settings: RunSettings, options: Options, folder: Path) -> None: ...

    @abstractmethod
    def submit(self, job: Job, storage: str, count: int) -> None:
        """Queue the job `count` times; the URL, which may hold a password, is in no file afterwards."""

    @abstractmethod
    def ended(self) -> list[Ended]:
        """How those jobs ended that have."""

    @abstractmethod
    def cancel(self, *, waiting_only: bool) -> None:
        """Take back the jobs that have not begun, or all; they have ended."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the cluster."""


def choose(name: str, settings: RunSettings, options: Iterable[str], folder: Path) -> Launcher:
    """The launcher of a name; options are KEY=VALUE, a value is JSON or else a text.

    Raises:
        ConfigError: an option of another form, or as the launcher says.
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            raise ConfigError(f"--launcher-option must be KEY=VALUE, got {option!r}.")
        try:
            parsed[key] = json.loads(value)
        except ValueError:
            parsed[key] = value
    launcher: Launcher = load(LAUNCHERS, "launcher", name)(settings, parsed, folder)
    return launcher


def require(module: str, extra: str) -> ModuleType:
    """Import what an extra installs.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"--launcher {extra}: {error}; run: pip install 'blade-tune[{extra}]'.") from None

"""The interface of launchers, and the choice of a launcher by name."""

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
    """The interface to a cluster that runs the jobs of one run. No method waits for a job.

    Args:
        settings: the run's settings.
        options: the launcher's own options, by name.
        folder: a folder for files that the cluster writes.

    Raises:
        ConfigError: the cluster's Python package is not installed, the cluster cannot be used, or an option is unknown.
    """

    @abstractmethod
    def __init__(self, settings: RunSettings, options: Options, folder: Path) -> None: ...

    @abstractmethod
    def submit(self, job: Job, storage: str, count: int) -> None:
        """Queue `count` copies of a job.

        Args:
            job: what each copy does.
            storage: URL of the study's database. It may hold a password, so no file may contain it.
            count: number of copies.
        """

    @abstractmethod
    def ended(self) -> list[Ended]:
        """Return how jobs ended, one entry for each job that has ended by now, cancelled ones included."""

    @abstractmethod
    def cancel(self, *, waiting_only: bool) -> None:
        """Cancel jobs, which then count as ended.

        Args:
            waiting_only: whether to cancel only the jobs that have not begun.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the connection to the cluster."""


def choose(name: str, settings: RunSettings, options: Iterable[str], folder: Path) -> Launcher:
    """Return the launcher with a name.

    Args:
        name: a key of `LAUNCHERS`.
        settings: the run's settings.
        options: options for the launcher, each as KEY=VALUE; a value that is no JSON is taken as text.
        folder: a folder for files that the cluster writes.

    Raises:
        ConfigError: there is no such launcher, an option has another form, or the launcher refuses to start.
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
    """Import and return a module that one of the package's extras installs.

    Raises:
        ConfigError: the module is not installed; the message says how to install the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--launcher {extra}: {error}; run: pip install 'blade-tune[{extra}]'."
        ) from None

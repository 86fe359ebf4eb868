"""An executor that works in the test's own process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blade_tune.fleet.settings import RunSettings
from blade_tune.selection.runs import RunExecutor, find_runs
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from tests.tiny import work

SEARCH: Mapping[str, Any] = {"search__trials": 4, "data__long_tail": ["share", "follow"]}


@dataclass(frozen=True)
class OwnExecutor(RunExecutor):
    """Works on a study without a process for each worker; remembers what it worked on, and each budget."""

    worked: list[tuple[str, int]] = field(default_factory=list)

    def work(self, study: StoredStudy, **changes: Any) -> None:
        self.worked.append((study.definition.name, study.budget))
        work(study, self.callback, keep=changes.get("keep", 5))


class IdleExecutor(RunExecutor):
    """Trains nothing, as one whose limit of time is over."""

    def work(self, study: StoredStudy, **changes: Any) -> None:
        """Nothing."""


def own_executor(callback: Callback | None = None) -> OwnExecutor:
    """An executor without limits."""
    return OwnExecutor(RunSettings(), [], callback or Callback())


def own_executor_in(place: Path) -> OwnExecutor:
    """One whose results are in a folder."""
    return OwnExecutor(RunSettings(results=place / "results"), [], Callback())


def num_rows(search: StoredStudy) -> int:
    """Rows of the study of runs beside a search."""
    beside = find_runs(search)
    return 0 if beside is None else len(beside.trials)

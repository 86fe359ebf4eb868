"""Studies in a notebook: a stored study as tables, figures and the commands that work on it.

Nothing is computed here: each member calls the function of the library that the command of its name calls. What only
reads loads no torch.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from blade_tune.config import guess
from blade_tune.errors import ConfigError
from blade_tune.fleet.precedence import resolve
from blade_tune.fleet.settings import RunSettings
from blade_tune.report import tables
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.connect import storage_errors
from blade_tune.study.stored import StoredStudy

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from blade_tune.export import Rule
    from blade_tune.selection.confirmation import Confirmation
    from blade_tune.trial.callback import Callback

Params = ParamSpec("Params")
Returned = TypeVar("Returned")


def _in_words(
    method: Callable[Concatenate["OpenedStudy", Params], Returned],
) -> Callable[Concatenate["OpenedStudy", Params], Returned]:
    """Turn errors of the database in a method into a StorageError of one line without a password."""

    @wraps(method)
    def guarded(study: "OpenedStudy", /, *args: Params.args, **kwargs: Params.kwargs) -> Returned:
        with storage_errors(study.settings.workspace.url):
            return method(study, *args, **kwargs)

    return guarded


class OpenedStudy:
    """A stored study, as `blade_tune.Study`; `open_study` returns one.

    Rows are read from the database each time they are asked for, so what a run stores meanwhile is seen.

    Args:
        stored: the study.
        settings: how trainings are run that it starts.
    """

    def __init__(self, stored: StoredStudy, settings: RunSettings) -> None:
        self.stored = stored
        self.settings = settings

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self.stored.progress_words(self.stored.trials)}>"

    @property
    def name(self) -> str:
        """Name of the study, which commands take as `--study`."""
        return self.stored.definition.name

    @property
    def definition(self) -> StudyDefinition:
        """What the study is: model, data, search space, objective, training and search."""
        return self.stored.definition

    @property
    @_in_words
    def best(self) -> dict[str, Any] | None:
        """Best trial of the search, with `number`, `value` and `params`; None before a trial has completed."""
        found: dict[str, Any] | None = tables.status(self.stored)["best"]
        return found

    @_in_words
    def status(self) -> dict[str, Any]:
        """Return progress, best trial, baselines, verdict, failures, cost and workers, as `blade-tune status -f json`.

        Raises:
            StorageError: the database cannot be reached.
        """
        return tables.status(self.stored)

    @_in_words
    def trials(self) -> "pd.DataFrame":
        """Return a row for each trial, with the columns of `blade-tune trials -f csv`.

        Raises:
            StorageError: the database cannot be reached.
        """
        import pandas as pd

        return pd.DataFrame(tables.trial_rows(self.stored))

    @_in_words
    def curves(self) -> "pd.DataFrame":
        """Return a row for each epoch of every trial with files here: losses, learning rate, seconds and metrics.

        Raises:
            StorageError: the database cannot be reached.
        """
        import pandas as pd

        return pd.DataFrame(tables.epoch_rows(self.stored))

    @property
    @_in_words
    def figures(self) -> list[str]:
        """Names of the figures that there are now, in the order of the report."""
        return [name for name, _ in self._drawn()]

    @_in_words
    def figure(self, name: str) -> "go.Figure":
        """Return a figure of the report by its name, such as "history" or "learning-curves".

        Args:
            name: one of `figures`.

        Raises:
            ConfigError: there is no such figure, or nothing to draw in it yet.
            StorageError: the database cannot be reached.
        """
        names = []
        for found, figure in self._drawn():
            if found == name:
                return figure
            names.append(found)
        raise ConfigError(f"study {self.name} has no figure {name!r}. {guess(name, names)}")

    def _drawn(self) -> "Iterator[tuple[str, go.Figure]]":
        """Yield the report's figures with their names, each drawn when its turn comes."""
        from blade_tune.report.page import PARTS
        from blade_tune.report.section import Study

        view = Study(self.stored)
        for part in PARTS:
            for section in part(view):
                if section.figure is not None:
                    yield section.anchor, section.figure

    @_in_words
    def confirm(
        self, top: int = 5, seeds: int = 5, callback: "Callback | None" = None
    ) -> "Confirmation":
        """Train the best configurations again on fresh seeds, and choose by the mean: `blade-tune confirm`.

        Runs that are stored are not trained again, so the same call goes on where it was stopped.

        Args:
            top: number of best configurations to train.
            seeds: number of fresh seeds that all share, at least two.
            callback: hears of each training while it runs.

        Returns:
            The candidates with their means and intervals, the `winner`, what to `expect` of it, and the `verdict`.

        Raises:
            NothingToExportError: no trial of the search has completed.
            RunsMissingError: a limit ended the call before every run had ended.
            InterruptedStudyError: it was stopped.
        """
        from blade_tune.fleet.devices import assign
        from blade_tune.report.dashboard import publish
        from blade_tune.selection.confirm import confirm
        from blade_tune.selection.runs import RunExecutor
        from blade_tune.trial.callback import Callback

        executor = RunExecutor(self.settings, assign(self.settings), callback or Callback())
        stored = self.settings.workspace.study_to_work_on(self.name)
        confirmation = confirm(stored, top, seeds, executor)
        publish(stored)
        return confirmation

    @_in_words
    def export(
        self,
        out: Path | str | None = None,
        rule: "Rule | None" = None,
        *,
        with_valid: bool = False,
        with_program: bool = False,
    ) -> dict[str, Any]:
        """Train the winner again, open the test rows, and write the model as a bundle: `blade-tune export-best`.

        Each call adds a line to the ledger of evaluations on test rows.

        Args:
            out: folder to write; None for RESULTS/STUDY/best.
            rule: `confirmed`, `best` or `1se`; None for `confirmed` where there is a winner, else `best`.
            with_valid: whether to train on validation rows too.
            with_program: whether to add the file that torch alone runs, where the model allows it.

        Returns:
            The folder as `bundle`, how the model was chosen, and its figures, as in metrics.json.

        Raises:
            NothingToExportError: no trial has completed.
            ConfigError: the folder cannot be written, or the rule needs a confirmation.
        """
        from blade_tune.export.final import ExportOptions, export_best
        from blade_tune.fleet.devices import usable_device
        from blade_tune.report.dashboard import publish

        stored = self.settings.workspace.study(self.name)
        folder = stored.folder.best if out is None else Path(out)
        device = usable_device(self.settings.device)
        options = ExportOptions(
            folder, device, self.settings.data, rule, with_valid, with_program=with_program
        )
        metrics = export_best(stored, options)
        publish(stored)
        return {"bundle": folder, **metrics}

    @_in_words
    def report(self, out: Path | str | None = None) -> list[Path]:
        """Write the report, and return the paths of the page and of its tables: `blade-tune report`.

        Args:
            out: folder to write; None for RESULTS/STUDY/report.

        Raises:
            StorageError: the database cannot be reached.
        """
        from blade_tune.report.page import write_report

        folder = self.stored.folder.path / "report" if out is None else Path(out)
        return write_report(self.stored, folder)


def open_study(
    name: str, results: Path | str | None = None, storage: str | None = None, **settings: object
) -> OpenedStudy:
    """Open a stored study by its name.

    Settings that are not given are those of files and of the environment, as for every command.

    Args:
        name: the stored name, or the path of a study file.
        results: folder of everything that runs write; by default `results`.
        storage: URL of the database of studies; by default the SQLite file in `results`.
        settings: any other setting of runs, such as `workers=2`, `device="cpu"` or `data="data/shop"`, for what
            `confirm` and `export` train.

    Raises:
        ConfigError: a setting is unknown or wrong, or no study of this name is stored; the message lists the names.
        StorageError: the database cannot be reached, or none is there.
    """
    given = {"results": results, "storage": storage, **settings}
    resolved = resolve(given, StudySource.find(name)).settings
    workspace = resolved.workspace
    with storage_errors(workspace.url):
        return OpenedStudy(workspace.study(name), resolved)

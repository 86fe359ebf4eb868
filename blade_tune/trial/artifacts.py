"""Files that optuna-dashboard shows beside a trial's or a study's numbers."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial

from blade_tune.files import sha256, write_whole
from blade_tune.storage.folder import StudyFolder, TrialFolder
from blade_tune.storage.trials import root_number
from blade_tune.trial.curves import as_csv, curve_rows, curve_svg

log = logging.getLogger(__name__)

ARTIFACTS = "artifacts"  # of the results folder
MIME_TYPES = {".csv": "text/csv", ".log": "text/plain", ".svg": "image/svg+xml", ".yaml": "application/yaml"}


class WholeFiles(FileSystemArtifactStore):
    """Optuna's store, each file of which is written whole or not at all.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._folder = path

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file, in place of an older one."""
        write_whole(self._folder / artifact_id, content_body.read(), flush=False)


def artifact_store(results: Path, *, create: bool = True) -> FileSystemArtifactStore:
    """The files of all studies of a results folder, each under its artifact's id."""
    path = results / ARTIFACTS
    if create:
        path.mkdir(parents=True, exist_ok=True)
    return WholeFiles(path)


def upload_trial(trial: Trial, folder: StudyFolder, metric: str) -> dict[str, str]:
    """Add a trial's curve, log and configuration, those that there are, to what the dashboard shows of it.

    To be called before the trial is told, since nothing can be added to an ended one. What goes wrong is a warning: the
    trial's result is worth more.

    Args:
        trial: about to end.
        folder: of its study.
        metric: the study's.

    Returns:
        The SHA-256 of each file, by its path in the results folder.

    Raises:
        UpdateFinishedTrialError: the trial was ended by somebody else.
    """
    digests: dict[str, str] = {}
    try:
        store = artifact_store(folder.results)
        files = folder.trial(root_number(trial))
        with tempfile.TemporaryDirectory() as scratch:
            for path in shown_files(files, metric, Path(scratch)):
                digest = sha256(path)
                digests[f"{ARTIFACTS}/{_upload(store, path, trial)}"] = digest
    except UpdateFinishedTrialError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        log.warning("trial=%d the dashboard does not show all of its files: %s", trial.number, what)
    return digests


def shown_files(files: TrialFolder, metric: str, scratch: Path) -> Iterator[Path]:
    """What the dashboard shows of a trial: its curve as a table and as a chart, its log and its configuration.

    Args:
        files: of the trial.
        metric: the study's.
        scratch: a folder to write the curve into.
    """
    if rows := curve_rows(files):
        for name, text in (("curve.csv", as_csv(rows)), ("curve.svg", curve_svg(rows, metric))):
            (scratch / name).write_text(text, encoding="utf-8")
            yield scratch / name
    yield from (path for path in (files.log, files.config) if path.is_file())


def keep_study_file(study: optuna.Study, results: Path, name: str, text: str) -> None:
    """Have the dashboard show a file of a study, in place of an older one of the same name.

    Raises:
        OSError: it cannot be written.
    """
    store = artifact_store(results)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / name
        path.write_text(text, encoding="utf-8")
        known = [meta.artifact_id for meta in get_all_artifact_meta(study) if meta.filename == name]
        if not known:
            _upload(store, path, study)
        for artifact_id in known:
            with path.open("rb") as content:
                store.write(artifact_id, content)


def _upload(store: FileSystemArtifactStore, path: Path, owner: Trial | optuna.Study) -> str:
    return upload_artifact(
        artifact_store=store, file_path=str(path), study_or_trial=owner, mimetype=MIME_TYPES[path.suffix]
    )

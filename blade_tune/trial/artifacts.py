"""Upload of a trial's or a study's files as Optuna artifacts, which optuna-dashboard shows on its pages.

All studies of a results folder share one artifact store, the subfolder `artifacts`, in which each file is named by its
artifact's id. Artifacts are copies for display: nothing in this package reads a trial back from them.
"""

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
MIME_TYPES = {
    ".csv": "text/csv",
    ".log": "text/plain",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}


class WholeFiles(FileSystemArtifactStore):
    """An Optuna artifact store in a folder, with atomic writes: a file is written whole or not at all.

    Args:
        path: the folder of the store, which must exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._folder = path

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write an artifact's content, replacing the content that the id had before."""
        write_whole(self._folder / artifact_id, content_body.read(), flush=False)


def artifact_store(results: Path, *, create: bool = True) -> FileSystemArtifactStore:
    """Return the artifact store that all studies of a results folder share.

    Args:
        results: the results folder.
        create: whether to create the store's folder where it does not exist.
    """
    path = results / ARTIFACTS
    if create:
        path.mkdir(parents=True, exist_ok=True)
    return WholeFiles(path)


def upload_trial(trial: Trial, folder: StudyFolder, metric: str) -> dict[str, str]:
    """Upload a trial's learning curve, log and configuration, as far as these files exist, as artifacts of the trial.

    Call this before `study.tell`, since Optuna refuses to change a finished trial. Any other failure is logged as a
    warning and not raised: the trial's result matters more than its display.

    Args:
        trial: the running trial, about to be told.
        folder: the folder of the trial's study.
        metric: name of the study's metric, which the curve's chart shows.

    Returns:
        The SHA-256 of each uploaded file, by the artifact's path relative to the results folder. Where an upload
        failed, the files that were uploaded before it.

    Raises:
        UpdateFinishedTrialError: another process has ended the trial.
    """
    digests: dict[str, str] = {}
    try:
        store = artifact_store(folder.results)
        files = folder.trial(root_number(trial))
        with tempfile.TemporaryDirectory() as scratch:
            for path in shown_files(files, metric, Path(scratch)):
                # Taken before the upload, the digest is that of what the trial wrote.
                digest = sha256(path)
                artifact_id = _upload(store, path, trial)
                digests[f"{ARTIFACTS}/{artifact_id}"] = digest
    except UpdateFinishedTrialError:
        # The trial is another worker's by now, which the caller has to know.
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".partition("\n")[0]
        log.warning(
            "trial=%d the dashboard does not show all of its files: %s", trial.number, cause
        )
    return digests


def shown_files(files: TrialFolder, metric: str, scratch: Path) -> Iterator[Path]:
    """Yield the files that the dashboard shows of a trial: curve as CSV and as SVG chart, log, configuration.

    Files that do not exist are skipped, and so is the curve of a trial that has not been evaluated yet.

    Args:
        files: the trial's folder.
        metric: name of the study's metric, which the chart shows.
        scratch: an existing folder that the curve's two files are written into.
    """
    rows = curve_rows(files)
    if rows:
        curves = {"curve.csv": as_csv(rows), "curve.svg": curve_svg(rows, metric)}
        for name, text in curves.items():
            path = scratch / name
            path.write_text(text, encoding="utf-8")
            yield path
    for path in (files.log, files.config):
        if path.is_file():
            yield path


def keep_study_file(study: optuna.Study, results: Path, name: str, text: str) -> None:
    """Store a text file as an artifact of a study, replacing an artifact with the same file name.

    Args:
        study: the study whose page in the dashboard shows the file.
        results: the results folder, which has the artifact store.
        name: the file's name; its suffix must be one of `MIME_TYPES`.
        text: the file's content.

    Raises:
        OSError: the file cannot be written.
    """
    store = artifact_store(results)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / name
        path.write_text(text, encoding="utf-8")
        entries = get_all_artifact_meta(study)
        stored = [entry.artifact_id for entry in entries if entry.filename == name]
        if not stored:
            # The first upload also adds the file's entry to the study.
            _upload(store, path, study)
        # Optuna cannot remove an artifact's entry, so its content is replaced.
        for artifact_id in stored:
            with path.open("rb") as content:
                store.write(artifact_id, content)


def _upload(store: FileSystemArtifactStore, path: Path, owner: Trial | optuna.Study) -> str:
    return upload_artifact(
        artifact_store=store,
        file_path=str(path),
        study_or_trial=owner,
        mimetype=MIME_TYPES[path.suffix],
    )

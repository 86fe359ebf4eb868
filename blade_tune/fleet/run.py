"""A run of a study on this machine: starts the supervisor with its workers, and reports the run to a callback."""

from datetime import UTC, datetime

from blade_tune.fleet.devices import Placement, at_most, settled
from blade_tune.fleet.probe import fill
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.supervisor import Supervisor
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.storage.connect import storage_errors
from blade_tune.storage.trials import is_promoted
from blade_tune.study.progress import summary_of
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals


def run_workers(
    stored: StoredStudy, settings: RunSettings, placements: list[Placement], callback: Callback
) -> str:
    """Run workers on a stored study until it needs no more trials or a limit of the run is reached.

    Args:
        stored: the study.
        settings: the run's settings and limits; `data` is needed only if the data is not where the study remembers it.
        placements: one placement per worker; if `settings.per_gpu` is auto, one per device, which are divided here.
        callback: receives the events of the run.

    Returns:
        The reason that the run ended, for people.

    Raises:
        BladeTuneError: an error or a signal ended the run; its class and exit code say which (see errors.py).
    """
    url = stored.storage.engine.url
    config = WorkerConfig(
        study=stored.definition.name,
        storage=url.render_as_string(hide_password=False),
        results=stored.folder.results,
        data=settings.data,
        device="cpu",  # this and the share are replaced by those of each worker's placement
        share=1.0,
        keep=settings.keep,
        max_consecutive_failures=settings.max_consecutive_failures,
        heartbeat_s=settings.heartbeat_s,
        grace_s=settings.grace_s,
        since=datetime.now(UTC),
    )
    with storage_errors(url), StopSignals().listening() as signals:
        summary = summary_of(stored)
        callback.run_started(summary, stored.definition.train.max_epochs)
        if figures := stored.baseline_figures:
            callback.baselines_measured(figures, stored.baselines_left_out)
        if settings.workers is None and settings.per_gpu is None:
            num_promoted = sum(
                is_promoted(trial) and not trial.state.is_finished() for trial in stored.trials
            )
            left = summary.budget - summary.scored + num_promoted
            placements = at_most(placements, max(1, left))
            if placements[0].device == "cpu" and len(placements) > 1:
                count, threads = len(placements), placements[0].threads
                each = "one CPU thread" if threads == 1 else f"{threads} CPU threads"
                callback.noted(f"{count} workers of {each} each; --workers N changes that")
        if settings.per_gpu == "auto":
            placements = fill(placements, stored, settings.data, callback, signals)
            placements = settled(placements, settings)
        why = Supervisor(stored, config, placements, settings, callback, signals).run()
        callback.run_ended(why, summary_of(stored))
    return why

"""A run of a study from this process: workers placed, supervised, and their story told."""

from datetime import UTC, datetime

from blade_tune.fleet.devices import Place
from blade_tune.fleet.probe import fill
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.supervisor import Supervisor
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.storage.connect import storage_errors
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals


def run_workers(stored: StoredStudy, settings: RunSettings, places: list[Place], callback: Callback) -> str:
    """Work on an open study until it needs no more trials; gives why.

    Args:
        stored: the study.
        settings: within which limits; `data` where its data is here, if not where the study remembers it.
        places: one a worker, or, where `per_gpu` is auto, one a device.
        callback: hears every event.

    Raises:
        BladeTuneError: see errors.py; the exit code says what ended the run.
    """
    url = stored.storage.engine.url
    config = WorkerConfig(
        study=stored.definition.name,
        storage=url.render_as_string(hide_password=False),
        results=stored.folder.results,
        data=settings.data,
        device="cpu",
        share=1.0,
        keep=settings.keep,
        max_consecutive_failures=settings.max_consecutive_failures,
        heartbeat_s=settings.heartbeat_s,
        grace_s=settings.grace_s,
        since=datetime.now(UTC),
    )
    with storage_errors(url), StopSignals().listening() as signals:
        callback.run_started(stored.summary(), stored.definition.train.max_epochs)
        if figures := stored.baseline_figures:
            callback.baselines_measured(figures, stored.baselines_left_out)
        if settings.per_gpu == "auto":
            places = fill(places, stored, settings.data, callback, signals)
        why = Supervisor(stored, config, places, settings, callback, signals).run()
        callback.run_ended(why, stored.summary())
    return why

"""A run whose workers a cluster places: submitted, watched through the database, and ended together."""

import time
from contextlib import closing

from blade_tune.fleet.launchers.base import Launcher
from blade_tune.fleet.launchers.job import Ended, Job
from blade_tune.fleet.launchers.study_poller import StudyPoller
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.supervisor import FATAL
from blade_tune.storage.connect import OUTAGE_S, storage_errors
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

POLL_S = 1.0


def run_jobs(stored: StoredStudy, settings: RunSettings, launcher: Launcher, callback: Callback) -> str:
    """Have `workers` jobs work on an open study until it needs no more trials; gives why.

    A signal asks the whole run to store what it has and to end; a second one cancels the jobs.

    Args:
        stored: the study.
        settings: the limits of the run; devices are those that each job has.
        launcher: where the jobs go.
        callback: hears every event, a little later.

    Raises:
        BladeTuneError: as one of the jobs said, or a signal.
    """
    url = stored.storage.engine.url
    stored = Workspace(url, stored.folder.results).study(stored.definition.name, outage_s=OUTAGE_S)
    with closing(launcher), storage_errors(url), StopSignals().listening() as signals:
        job = Job.of(stored, settings)
        callback.run_started(stored.summary(), stored.definition.train.max_epochs)
        over = job.why_over(stored)
        if over is None:
            count = settings.workers or 1
            launcher.submit(job, url.render_as_string(hide_password=False), count)
            over = _last_word(_watch(stored, job, launcher, StudyPoller(stored, callback), signals, count), job, stored)
        if signals:
            raise signals.error()
        callback.run_ended(over.settle(), stored.summary())
    return over.why


def _watch(
    stored: StoredStudy, job: Job, launcher: Launcher, story: StudyPoller, signals: StopSignals, count: int
) -> list[Ended]:
    """Tell the story until all jobs have ended; gives how."""
    is_asked = False
    while True:
        try:
            ended = launcher.ended()
            story.tell()
            if len(ended) == count:
                return ended
            if not is_asked and (signals or any(one.code in FATAL for one in ended)):
                stored.ask_to_stop(now=False)
                is_asked = True
            if job.why_over(stored):
                launcher.cancel(waiting_only=True)
            time.sleep(POLL_S)
        except KeyboardInterrupt:  # the second signal
            stored.ask_to_stop(now=True)
            launcher.cancel(waiting_only=False)


def _last_word(ended: list[Ended], job: Job, stored: StoredStudy) -> Ended:
    """An error that any other job would meet too, else why the run is over, else what the jobs say, if they could."""
    fatal = (one for one in ended if one.code in FATAL)
    return next(fatal, None) or job.why_over(stored) or min(ended, key=lambda one: (one.code is None, one.code or 0))

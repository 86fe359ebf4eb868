"""A run whose workers are jobs of a cluster: submits them, follows them through the database, and ends them together.

This process trains nothing. The jobs report to no one but the study's database, which this process polls to tell a
callback what happens.
"""

import time
from contextlib import closing

from blade_tune.fleet.launchers.base import Launcher
from blade_tune.fleet.launchers.job import Ended, Job
from blade_tune.fleet.launchers.study_poller import StudyPoller
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.supervisor import FATAL
from blade_tune.storage.connect import OUTAGE_S, storage_errors
from blade_tune.study.progress import summary_of
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

POLL_S = 1.0  # seconds between two looks at the jobs and the database


def run_jobs(
    stored: StoredStudy, settings: RunSettings, launcher: Launcher, callback: Callback
) -> str:
    """Work on a stored study in `settings.workers` jobs of a cluster until it needs no more trials.

    At a first signal all jobs are asked, through the database, to store their trials and to end. A second signal
    cancels them.

    Args:
        stored: the study.
        settings: the run's settings; devices are looked for on each job's machine.
        launcher: submits the jobs. It is closed at the end.
        callback: receives the run's events, up to a few seconds late.

    Returns:
        The reason that the run ended, for people.

    Raises:
        BladeTuneError: a job ended with an error, or a signal was received.
    """
    url = stored.storage.engine.url
    # The study is opened again, to wait out an outage of the database.
    workspace = Workspace(url, stored.folder.results)
    stored = workspace.study(stored.definition.name, outage_s=OUTAGE_S)
    with closing(launcher), storage_errors(url), StopSignals().listening() as signals:
        job = Job.of(stored, settings)
        callback.run_started(summary_of(stored), stored.definition.train.max_epochs)
        over = job.why_over(stored)
        if over is None:
            count = settings.workers or 1
            launcher.submit(job, url.render_as_string(hide_password=False), count)
            poller = StudyPoller(stored, callback)
            ended = _watch(stored, job, launcher, poller, signals, count)
            over = _end_of_run(ended, job, stored)
        if signals:
            raise signals.error()
        callback.run_ended(over.settle(), summary_of(stored))
    return over.why


def _watch(
    stored: StoredStudy,
    job: Job,
    launcher: Launcher,
    poller: StudyPoller,
    signals: StopSignals,
    count: int,
) -> list[Ended]:
    """Report events to the poller's callback until all jobs have ended, and return how each did."""
    is_asked = False
    while True:
        try:
            ended = launcher.ended()
            poller.poll()
            if len(ended) == count:
                return ended
            has_failed = any(end.code in FATAL for end in ended)
            if (signals or has_failed) and not is_asked:
                stored.ask_to_stop(now=False)
                is_asked = True
            # Jobs that run notice this themselves; those in the queue have nothing left to do.
            if job.why_over(stored):
                launcher.cancel(waiting_only=True)
            time.sleep(POLL_S)
        except KeyboardInterrupt:  # the second signal
            stored.ask_to_stop(now=True)
            launcher.cancel(waiting_only=False)


def _end_of_run(ended: list[Ended], job: Job, stored: StoredStudy) -> Ended:
    """Return the end of the run as a whole, from the ends of its jobs.

    It is an error that every job would meet too, else the reason that the run is over, else the end of the job with the
    lowest exit code; jobs that died without one come last.
    """
    for end in ended:
        if end.code in FATAL:
            return end
    if over := job.why_over(stored):
        return over
    return min(ended, key=lambda end: (end.code is None, end.code or 0))

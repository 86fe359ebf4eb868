"""How soon a new worker claims a trial after its supervisor's word: forked, and with an interpreter of its own.

    python benchmarks/worker_start.py --busy 2

Five workers in a row are killed in their first epoch, and the next is started; each start is timed up to the trial that
the worker has claimed. `--busy N` keeps N processes busy beside it. Results are printed as Markdown.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from blade_tune.data.store import prepare
from blade_tune.fleet import supervisor, worker_start
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.run import run_workers
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.supervisor import Supervisor
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback

KILLS = 5
CPU = Placement("cpu", "", 1.0, 1)
BUSY = "while True: sum(range(10_000))"


class KillsWorkers(Callback):
    """Times each start of a worker, and kills the worker in its first epoch."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.seconds: list[float] = []
        self.supervisors: list[Supervisor] = []

    def trial_started(self, *_: Any) -> None:
        """A worker has claimed a trial."""
        self.seconds.append(time.monotonic() - self.started[-1])

    def epoch_ended(self, _number: int, record: Any) -> None:
        """The worker's first epoch is done."""
        if record.epoch == 1 and len(self.seconds) <= KILLS:
            for slot in self.supervisors[0].slots:
                if slot.process:
                    os.kill(slot.process.pid, signal.SIGKILL)


def claims(kills: KillsWorkers) -> list[float]:
    """Run the demo with one worker, and return the seconds of each start but the first, which imports for all."""
    source = StudySource.read("demo")
    definition = StudyDefinition.load(source, max_epochs=2, search={"trials": KILLS + 3})
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        data = prepare(definition.data, None, results)
        study = open_study(definition, data, Workspace.at(None, results))
        run_workers(study, RunSettings(workers=1), [CPU], kills)
    return kills.seconds[1 : 1 + KILLS]


def watch(kills: KillsWorkers) -> None:
    """Have starts of workers timed, and no pause before a worker that replaces another."""
    start, init = worker_start.start, Supervisor.__init__

    def timed(placement: Placement, model: str) -> Any:
        kills.started.append(time.monotonic())
        return start(placement, model)

    def kept(self: Supervisor, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        kills.supervisors.append(self)

    worker_start.start, Supervisor.__init__ = timed, kept  # type: ignore[method-assign]
    supervisor.BACKOFF_S = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--busy", type=int, default=0, help="processes that keep cores busy")
    parser.add_argument("--way", choices=("forked", "own interpreter"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        if options.way == "own interpreter":
            worker_start._can_fork = lambda _: False
        kills = KillsWorkers()
        watch(kills)
        print(*claims(kills))
        return
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(options.busy)]
    print("| worker | busy processes | seconds to its first trial | median |\n|---|---|---|---|")
    try:
        for way in ("forked", "own interpreter"):
            command = [sys.executable, __file__, "--way", way]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            seconds = sorted(map(float, said.split()))
            listed = ", ".join(f"{each:.2f}" for each in seconds)
            print(f"| {way} | {options.busy} | {listed} | {statistics.median(seconds):.2f} |")
    finally:
        for process in busy:
            process.kill()


if __name__ == "__main__":
    main()

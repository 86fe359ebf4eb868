"""Kill workers of a promoting study a thousand times, and count what is left.

    python benchmarks/kills.py --kills 1000 --workers 6

Tiny trials on made-up data pause and are promoted while a worker, or now and then the supervisor, is killed with
SIGKILL at a random moment. When so many are killed, the study is finished in peace. Where it ends before, its budget is
doubled. Prints one table.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from blade_tune.config import write_yaml
from blade_tune.storage.trials import (
    count_states,
    is_continued,
    is_paused,
    is_promoted,
    logical_trials,
    num_scored,
    root_number,
)
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace

STUDY = "kills"
SUPERVISOR_SHARE = 0.02
HIGHEST, LOWEST_SHARE = 0.03, 1 / 200  # learning rates of --worse
EPOCH = re.compile(r" epoch=(\d+) ")
DEFINITION = {
    "model": "sasrec",
    "space": {
        "model": {"embedding_size": 16, "max_length": 8, "num_blocks": 1, "num_heads": 1},
        "train": {"batch_size": 16, "learning_rate": {"float": [1e-4, 1e-1], "log": True}},
    },
    "data": {
        "source": "synthetic",
        "name": STUDY,
        "behaviors": ["click", "like"],
        "auxiliary": "click",
        "num_users": 60,
        "num_items": 60,
        "num_clusters": 5,
        "min_length": 6,
        "max_length": 12,
    },
    "train": {"max_epochs": 12, "eval_every": 1, "patience": 12},
    "search": {
        "pruner": {"kind": "promote", "rungs": [0.25, 0.5], "reduction_factor": 2},
        "sampler": "random",
    },
}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--kills", type=int, default=1000)
    options.add_argument("--trials", type=int, default=200, help="the first budget")
    options.add_argument("--workers", type=int, default=6)
    options.add_argument("--kill-every", type=float, default=0.5, help="seconds, on average")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--worse",
        action="store_true",
        help="try learning rates from high to low, so that each two trials lift one before them",
    )
    options.add_argument("--storage")
    options.add_argument("--results", type=Path, default=Path(tempfile.mkdtemp(prefix="kills-")))
    given = options.parse_args()
    Kills(given).run()


class Kills:
    """One study, and what was done to it."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.dice = random.Random(given.seed)
        self.total = given.trials
        self.kills: Counter[str] = Counter()
        self.most_checkpoints = 0
        self.excess = 0  # checkpoints beyond those of trials that may go on or run, at most
        study = given.results / f"{STUDY}.yaml"
        rates = [HIGHEST * LOWEST_SHARE ** (index / self.total) for index in range(self.total)]
        enqueue = [{"train": {"learning_rate": rate}} for rate in rates] if given.worse else []
        study.write_text(write_yaml({**DEFINITION, "enqueue": enqueue}))
        place = ("--study", str(study), "--results", str(given.results), "--device", "cpu")
        pace = ("--heartbeat-s", "1", "--grace-s", "10", "--max-consecutive-failures", "1000")
        self.command = (sys.executable, "-m", "blade_tune", "run", *place, *pace)
        self.log = (given.results / "run.log").open("a")

    def start(self) -> subprocess.Popen[bytes]:
        words = ["--workers", str(self.given.workers), "--trials", str(self.total)]
        words += ["--storage", self.given.storage] if self.given.storage else []
        return subprocess.Popen([*self.command, *words], stderr=self.log, stdout=self.log)

    @property
    def stored(self) -> StoredStudy:
        return Workspace.at(self.given.storage, self.given.results).study(STUDY)

    def run(self) -> None:
        began = time.monotonic()
        run = self.start()
        while self.kills.total() < self.given.kills:
            time.sleep(self.dice.expovariate(1 / self.given.kill_every))
            if run.poll() is not None:
                if run.returncode == 0:
                    self.look()
                    self.total *= 2
                self.kills_by_itself(run.returncode)
                run = self.start()
            elif self.dice.random() < SUPERVISOR_SHARE:
                run.kill()
                run.wait()
                self.kills["supervisor"] += 1
                run = self.start()
            elif workers := self.workers(run.pid):
                self.dice.choice(workers).kill()
                self.kills["worker"] += 1
                if self.kills["worker"] % 25 == 0:
                    self.look()
                    print(f"{self.kills.total()} kills", flush=True)
        code = run.wait()
        self.report(code, time.monotonic() - began)

    def kills_by_itself(self, code: int) -> None:
        print(f"the run ended with {code}; it goes on to {self.total} trials", flush=True)

    def workers(self, pid: int) -> list[psutil.Process]:
        """The processes below the supervisor that are workers."""
        try:
            below = psutil.Process(pid).children(recursive=True)
            return [process for process in below if process.name() == "blade-worker"]
        except psutil.NoSuchProcess:
            return []

    def checkpoints(self, stored: StoredStudy) -> set[int]:
        found = stored.folder.path.glob("trials/*/checkpoint.pt")
        return {int(path.parent.name) for path in found}

    def look(self) -> None:
        """Count the checkpoints that lie there, and those of trials that need none."""
        stored = self.stored
        on_disk = self.checkpoints(stored)
        trials = stored.trials
        standing = stored.standing(trials)
        unfinished = {root_number(t) for t in logical_trials(trials) if not t.state.is_finished()}
        needed = unfinished | (standing.hopeful if standing else set())
        self.most_checkpoints = max(self.most_checkpoints, len(on_disk))
        self.excess = max(self.excess, len(on_disk - needed))

    def report(self, code: int, seconds: float) -> None:
        stored = self.stored
        trials = stored.trials
        trained = again = 0
        for root in {root_number(trial) for trial in trials}:
            path = stored.folder.trial(root).log
            epochs = EPOCH.findall(path.read_text()) if path.exists() else []
            trained += len(epochs)
            again += len(epochs) - len(set(epochs))
        promoted = [trial for trial in trials if is_promoted(trial)]
        ended = Counter(t.user_attrs["promoted"] for t in promoted if not is_continued(t))
        rungs = Counter(
            (root_number(t), max(t.intermediate_values)) for t in trials if is_paused(t)
        )
        rows = {
            "last exit code": code,
            **{f"kills of a {kind}": count for kind, count in self.kills.items()},
            "seconds": f"{seconds:.0f}",
            "scored, asked for": self.total,
            "scored": num_scored(trials),
            "rows": len(trials),
            **{f"rows {state}": count for state, count in count_states(trials).items()},
            "promotions": len({t.user_attrs["promoted"] for t in promoted}),
            "promoted twice": sum(count > 1 for count in ended.values()),
            "paused twice at a rung": sum(count > 1 for count in rungs.values()),
            "attempts left open": len(stored.attempts.open_attempts()),
            "epochs trained": trained,
            "epochs trained twice": f"{again} ({again / trained:.1%})",
            "checkpoints at a time, at most": self.most_checkpoints,
            "of trials that need none": self.excess,
            "checkpoints at the end": len(self.checkpoints(stored)),
        }
        for name, value in rows.items():
            print(f"{name:32} {value}")


if __name__ == "__main__":
    main()

"""Kill a study's processes for half an hour and count what is left.

    python benchmarks/reliability.py --minutes 30 --workers 8 --kill-every 10

Runs the demo's data on longer trials. Every so often, at random, one of the workers, or one time in ten the
supervisor, is killed with SIGKILL; a killed supervisor is started again. Then nothing is killed any more, and the study
is finished.
Prints one table. `--storage URL` takes another database than SQLite.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from blade_tune.config import read_yaml, write_yaml
from blade_tune.storage.trials import count_states, num_scored, root_number
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace

STUDY = "reliability"
SUPERVISOR_SHARE = 0.1
EPOCH = re.compile(r" epoch=(\d+) ")


def write_study(folder: Path) -> Path:
    """The demo with trials of a minute, which outlive their workers."""
    content = read_yaml(Path(__file__).parents[1] / "studies" / "demo.yaml")
    content["train"] = {
        **content.get("train", {}),
        "max_epochs": 120,
        "eval_every": 4,
        "patience": 30,
    }
    content["search"] = {**content["search"], "pruner": {"kind": "percentile", "percentile": 75.0}}
    path = folder / f"{STUDY}.yaml"
    path.write_text(write_yaml(content))
    return path


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--minutes", type=float, default=30.0)
    options.add_argument("--workers", type=int, default=8)
    options.add_argument("--kill-every", type=float, default=10.0, help="seconds, on average")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--storage")
    options.add_argument(
        "--results", type=Path, default=Path(tempfile.mkdtemp(prefix="reliability-"))
    )
    given = options.parse_args()
    dice = random.Random(given.seed)
    study = write_study(given.results)
    command = [
        sys.executable,
        "-m",
        "blade_tune",
        "run",
        "--study",
        str(study),
        "--results",
        str(given.results),
    ]
    command += [
        "--workers",
        str(given.workers),
        "--device",
        "cpu",
        "--max-consecutive-failures",
        "1000",
    ]
    command += ["--storage", given.storage] if given.storage else []
    command += ["--heartbeat-s", "5", "--grace-s", "20"]
    log = (given.results / "run.log").open("a")

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*command, *words], stderr=log, stdout=log)

    kills: Counter[str] = Counter()
    end = time.monotonic() + 60 * given.minutes
    run = start("--trials", "100000")
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, dice.expovariate(1 / given.kill_every)))
        if run.poll() is not None:
            print(f"run ended with {run.returncode}; starting it again", flush=True)
            kills["ended by itself"] += 1
            run = start("--trials", "100000")
        elif dice.random() < SUPERVISOR_SHARE:
            run.kill()
            run.wait()
            kills["supervisor"] += 1
            run = start("--trials", "100000")
        elif children := psutil.Process(run.pid).children():
            dice.choice(children).kill()
            kills["worker"] += 1
    run.send_signal(signal.SIGTERM)
    code = run.wait()
    stored = Workspace.at(given.storage, given.results).study(STUDY)
    total = num_scored(stored.trials) + given.workers
    print(
        f"stopped with {code}; {num_scored(stored.trials)} scored, now to {total} without kills",
        flush=True,
    )
    code = start("--trials", str(total)).wait()
    report(stored, kills, total, code)


def report(stored: StoredStudy, kills: Counter[str], total: int, code: int) -> None:
    trials = stored.trials
    executed = lost = 0
    for root in {root_number(trial) for trial in trials}:
        path = stored.folder.trial(root).log
        epochs = EPOCH.findall(path.read_text()) if path.exists() else []
        executed += len(epochs)
        lost += len(epochs) - len(set(epochs))
    reasons = Counter(trial.user_attrs.get("reason", trial.state.name.lower()) for trial in trials)
    rows = {
        "last exit code": code,
        **{f"kills of a {kind}": count for kind, count in kills.items()},
        "scored, asked for": total,
        "scored": num_scored(trials),
        "rows": len(trials),
        **{f"rows {state}": count for state, count in count_states(trials).items()},
        "rows by reason": dict(reasons),
        "attempts left open": len(stored.attempts.open_attempts()),
        "epochs trained": executed,
        "epochs trained twice": f"{lost} ({lost / executed:.1%})",
    }
    for name, value in rows.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()

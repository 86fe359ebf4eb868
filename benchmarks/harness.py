"""What a trial costs beside its training, in studies of several sizes; and how soon a warm worker starts the next one.

    python benchmarks/harness.py
    python benchmarks/harness.py --sizes 1000 --profile 40
    python benchmarks/harness.py --start

The first runs trials that train nothing through a real worker, on SQLite, in a study that holds 0, 1,000 and 10,000
finished trials of the shipped space: 100 epochs and 20 evaluations, each with its report, prune check, checkpoint and
files. The last builds real models on data of QK-Video's size and takes the time from the end of one training to the
first step of the next, against a process that imports, opens and loads everything first. Both print a table of medians.
"""

import argparse
import cProfile
import functools
import gc
import itertools
import json
import logging
import pstats
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert
from torch import nn

from blade_tune.config import read_yaml
from blade_tune.data.store import prepare
from blade_tune.fleet import worker
from blade_tune.fleet.worker import Worker
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.metrics import summarize
from blade_tune.search.samplers import SeededSampler
from blade_tune.spec.catalog import find
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.fingerprint import training_seed
from blade_tune.storage.attempts import Attempts
from blade_tune.storage.lease import Lease
from blade_tune.storage.optuna_storage import TRIALS
from blade_tune.study.cleaner import Cleaner
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training import loop
from blade_tune.training.evaluation import Evaluation, Evaluator
from blade_tune.training.loop import Hooks, Training, TrainingResult
from blade_tune.trial import objective
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

EPOCHS, EVAL_EVERY = 100, 5
SMALL = {"num_users": 600, "num_items": 100}
LIKE_QK_VIDEO = {
    "num_users": 4867,
    "num_items": 20490,
    "min_length": 20,
    "max_length": 80,
    "num_clusters": 683,
}
PARTS = (
    ("claim and lease", Attempts, "claim"),
    ("claim and lease", Lease, "__enter__"),
    ("claim and lease", Lease, "link"),
    ("claim and lease", Lease, "__exit__"),
    ("ask", optuna.Study, "ask"),
    ("propose", SeededSampler, "infer_relative_search_space"),
    ("suggest", optuna.Trial, "suggest_categorical"),
    ("suggest", optuna.Trial, "suggest_float"),
    ("replicate index", objective, "replicate_index"),
    ("attributes", optuna.Trial, "set_user_attr"),
    ("reports", optuna.Trial, "report"),
    ("prune checks", optuna.Trial, "should_prune"),
    ("checkpoints", loop, "save_checkpoint"),
    ("other files", objective, "write_text"),
    ("other files", objective, "_keep"),
    ("log", logging.StreamHandler, "emit"),
    ("tell", optuna.Study, "tell"),
    ("clean", Cleaner, "clean"),
    ("is it done, do all fail", worker, "why_done"),
    ("is it done, do all fail", worker, "check_failures"),
    ("garbage", gc, "collect"),
)


class Stopwatch(Callback):
    """Seconds of each trial, and of its parts: what is spent in a part within another is not the other's."""

    def __init__(self) -> None:
        self._parts: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]
        self.restart()

    def watch(self, part: str, owner: Any, name: str) -> None:
        """Replace a function by one that is timed."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                total = time.perf_counter() - start
                self._parts[part] += total - self._inner.pop()
                self._inner[-1] += total

        setattr(owner, name, timed)

    def trial_ended(self, *_: Any) -> None:
        """The next one begins."""
        now = (time.perf_counter(), time.process_time())
        wall, cpu = (after - before for after, before in zip(now, self._start, strict=True))
        rest = wall - sum(self._parts.values())
        self.trials.append({"wall": wall, "CPU": cpu, **self._parts, "rest": rest})
        self._parts.clear()
        self._start = now

    def restart(self) -> None:
        """Begin with no trial."""
        self.trials: list[dict[str, float]] = []
        self._parts.clear()
        self._start = (time.perf_counter(), time.process_time())

    def medians(self) -> dict[str, float]:
        """Of all trials but the first, which warms up."""
        return {
            part: statistics.median(trial.get(part, 0.0) for trial in self.trials[1:])
            for part in self.trials[-1]
        }


class Idle(nn.Linear):
    """A model that nobody asks anything; its figures are made up, each better than the one before."""

    max_length = 50

    def __init__(self) -> None:
        super().__init__(32, 32)
        self.figures = itertools.count(0.03, 0.001)

    def evaluation(self) -> Evaluation:
        return Evaluation(
            dict.fromkeys(summarize(torch.empty(0)), next(self.figures)), torch.zeros(600)
        )


class IdleTraining(Training):
    """Twenty evaluated epochs in which nothing happens."""

    def train_epoch(self) -> dict[str, float]:
        return {"next_item": 5.0}


def define(data: dict[str, int], max_epochs: int) -> StudyDefinition:
    """The shipped study, but for its data and its number of epochs."""
    content = read_yaml(find("studies", "qk-video"))
    shared = {key: content["data"][key] for key in ("behaviors", "auxiliary", "long_tail")}
    content["data"] = {"source": "synthetic", "name": "made-up", **shared, **data}
    content["train"] = {**content["train"], "max_epochs": max_epochs, "eval_every": EVAL_EVERY}
    return StudyDefinition.from_mapping("harness", content, "harness")


def finished(definition: StudyDefinition, count: int, seed: int) -> Iterator[FrozenTrial]:
    """Rows as trials leave them: every third one pruned halfway, the others complete."""
    dice = random.Random(seed)
    proposals = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    for index in range(count):
        proposal = proposals.ask()
        values = definition.space.suggest(proposal)
        is_pruned = index % 3 == 2
        top, steps = dice.uniform(0.02, 0.03), EPOCHS // EVAL_EVERY // (1 + is_pruned)
        curve = {
            EVAL_EVERY * step: top * (1 - 0.7**step) + dice.gauss(0, 0.0003)
            for step in range(1, steps + 1)
        }
        last, best = max(curve), max(curve.values())
        attrs = {
            "replicate": 0,
            "seed": training_seed(2026, values),
            "threads": 2,
            "epochs": last,
            "seconds": 1234.567,
        }
        kept = {"best_epoch": last, **{f"valid.{name}": best for name in summarize(torch.empty(0))}}
        yield optuna.create_trial(
            state=TrialState.PRUNED if is_pruned else TrialState.COMPLETE,
            value=curve[last] if is_pruned else best,
            params=proposal.params,
            distributions=proposal.distributions,
            user_attrs=attrs | ({"reason": "pruned"} if is_pruned else kept),
            intermediate_values=curve,
        )


def fill(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> None:
    """Store rows as `study.add_trials` does, all in one transaction: that takes 20 ms a row and more."""
    tables, start = TRIALS.metadata.tables, len(stored.trials)
    rows = defaultdict(list)
    for number, trial in enumerate(trials, start):
        key = {"trial_id": number + 1}
        times = {
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        rows["trials"].append(
            {**key, **times, "number": number, "study_id": stored.study_id, "state": trial.state}
        )
        rows["trial_values"].append(
            {**key, "objective": 0, "value": trial.value, "value_type": "FINITE"}
        )
        for name, kind in trial.distributions.items():
            value = {"param_value": kind.to_internal_repr(trial.params[name]), "param_name": name}
            rows["trial_params"].append(
                {**key, **value, "distribution_json": distribution_to_json(kind)}
            )
        for name, value in trial.user_attrs.items():
            rows["trial_user_attributes"].append(
                {**key, "key": name, "value_json": json.dumps(value)}
            )
        for step, value in trial.intermediate_values.items():
            figure = {"intermediate_value": value, "intermediate_value_type": "FINITE"}
            rows["trial_intermediate_values"].append({**key, **figure, "step": step})
        stored.folder.trial(number).path.mkdir(parents=True)
    with stored.storage.engine.begin() as connection:
        for name, values in rows.items():
            connection.execute(insert(tables[name]), values)


def work(
    folder: Path, definition: StudyDefinition, total: int, callback: Callback, device: str = "cpu"
) -> None:
    """Be the worker of a study until so many trials are scored, as `blade-tune run` starts one."""
    stored = opened(folder, definition, total)
    url = stored.storage.engine.url.render_as_string(hide_password=False)
    place = {"study": stored.definition.name, "storage": url, "results": folder, "data": None}
    limits = {"keep": 5, "max_consecutive_failures": 5, "heartbeat_s": 30.0, "grace_s": 120.0}
    order = WorkerConfig(**place, **limits, device=device, share=1.0, since=datetime.now(UTC))
    Worker(stored, order, callback, StopSignals()).run()


def opened(folder: Path, definition: StudyDefinition, total: int) -> StoredStudy:
    """The study of a results folder, made if it is not there."""
    data, place = prepare(definition.data, None, folder), Workspace.at(None, folder)
    return open_study(definition, data, place, TrialBudget(total))


def measure(folder: Path, sizes: list[int], trials: int, profile: int) -> None:
    """Print what a trial takes in a study of each size, all in all and by part."""
    definition = define(SMALL, EPOCHS)
    logging.getLogger("blade_tune").setLevel(logging.INFO)  # as a worker has it
    watch, profiler = Stopwatch(), cProfile.Profile()
    if not profile:
        for part, owner, name in PARTS:
            watch.watch(part, owner, name)
    Evaluator.__call__ = lambda _, model: model.evaluation()
    objective.build_training = lambda study, _, __, windows, *___: IdleTraining(
        Idle(), windows.windows, windows.negatives, study.train, study.objective.metric
    )
    columns = {}
    for size in sizes:
        stored = opened(folder, definition, size + trials + 1)
        fill(stored, list(finished(definition, size - len(stored.trials), size)))
        watch.restart()
        if profile:
            profiler.enable()
        work(folder, definition, len(stored.trials) + trials + 1, watch)
        profiler.disable()
        columns[size] = watch.medians()
        print(f"{size:>6}: {columns[size]['wall']:.3f} s", file=sys.stderr)
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(profile)
        pstats.Stats(profiler).sort_stats("cumtime").print_stats(profile)
    print("| ms a trial | " + " | ".join(f"{size:,} trials" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for part in max(columns.values(), key=len):
        print(
            f"| {part} | "
            + " | ".join(f"{1e3 * column.get(part, 0.0):.1f}" for column in columns.values())
            + " |"
        )


def start(folder: Path, trials: int, device: str) -> None:
    """Print how long it takes from the end of a training to the first step of the next, and from nothing to a step."""
    definition = define(LIKE_QK_VIDEO, 1)
    prepare(definition.data, None, folder)
    fresh = []
    for number in (1, 2, 3):
        begun = time.time()
        command = [
            sys.executable,
            __file__,
            "--first-step",
            str(folder),
            "--trials",
            str(number),
            "--device",
            device,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        fresh.append(float(done.stdout.split()[0]) - begun)
    steps = first_steps(folder, definition, trials + 4, device)
    warm = [begun - ended for (_, ended), (begun, _) in itertools.pairwise(steps)]
    print("| a trial's start, s | median | highest |\n|---|---|---|")
    for name, seconds in (("in a warm worker", warm), ("in a fresh process", fresh)):
        print(f"| {name} | {statistics.median(seconds):.3f} | {max(seconds):.3f} |")
    print(f"ratio {statistics.median(fresh) / statistics.median(warm):.0f}")


def first_steps(
    folder: Path, definition: StudyDefinition, total: int, device: str
) -> list[tuple[float, float]]:
    """Run real models that do not train; gives when each came to its first step and when its training was over."""
    times, run = [], Training.run

    def timed(self: Training, hooks: Hooks) -> TrainingResult:
        outcome = run(self, hooks)
        times.append((self.begun, time.time()))
        return outcome

    def no_epoch(self: Training) -> dict[str, float]:
        self.begun = time.time()
        return {"next_item": 5.0}

    Training.run, Training.train_epoch = timed, no_epoch
    Evaluator.__call__ = lambda *_: Evaluation(
        dict.fromkeys(summarize(torch.empty(0)), 0.01), torch.zeros(4867)
    )
    work(folder, definition, total, Callback(), device)
    return times


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--sizes", type=int, nargs="+", default=[0, 1000, 10_000], help="trials before, ascending"
    )
    options.add_argument("--trials", type=int, default=20, help="measured in each size")
    options.add_argument(
        "--profile", type=int, default=0, help="print so many functions, the dearest first"
    )
    options.add_argument("--start", action="store_true", help="how soon a trial starts")
    options.add_argument("--device", default="cpu", help="of --start")
    options.add_argument("--first-step", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.first_step:
        print(
            first_steps(given.first_step, define(LIKE_QK_VIDEO, 1), given.trials, given.device)[0][
                0
            ]
        )
        return
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        if given.start:
            start(Path(folder), given.trials, given.device)
        else:
            measure(Path(folder), given.sizes, given.trials, given.profile)


if __name__ == "__main__":
    main()

"""Which pruner saves most epochs and keeps the best trial: whole learning curves, and every rule replayed on them.

    python benchmarks/pruners.py curves --data DIR
    python benchmarks/pruners.py curves --data DIR --model sasrec --items 2000 --users 1024 --eval-every 4 --out FILE
    python benchmarks/pruners.py replay results/paper/pruning-curves-*.csv

`curves` runs a study without a pruner on a part of QK-Video that a CPU thread can train on, and writes one row an
evaluation; it goes on where it was stopped. The part: rows of the most frequent train items, 500; of the users who have
five of them and a valid row, some are drawn to train on, 256. NDCG@10 of 256 users is a handful of hits, so all other
users with a valid row there are ranked too: of these the newest train row alone is kept, which gives a window to rank
with and no step to train on. Without `--model` it is BLADE as published, over SPACE; with it, that model over its own
space under the shared recipe.

`replay` feeds the curves to Optuna's pruners, to promotion and to one cut for all (replays.py) as `trial/objective.py`
does, in shuffled orders of a half of them, so that not always the same one is the best, by workers that train at the
same pace, and with the patience of the shipped studies: a sixth of the evaluations. Prints a table of means: "best
kept" is the share of orders in which the best trial is trained to its end, "regret" what the best completed trial lacks
of it, "rank correlation" Spearman's, of the best figures that trials have shown before they ended with those that they
show without a pruner.
"""

import argparse
import csv
import io
import itertools
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import PatientPruner
from replays import Curve, Replay, cut, promote, prune
from scipy.stats import spearmanr

from blade_tune.config import write_yaml
from blade_tune.search.promotion import Ladder
from blade_tune.search.samplers import build_pruner, warmup_epochs
from blade_tune.spec.study_file import PrunerConfig
from blade_tune.training.config import TrainConfig
from blade_tune.training.early_stopping import EarlyStopping

STUDY = "qk-video-256"
LEAST_ROWS = 5
METRIC = "ndcg@10"
# Shares of the epochs at which trials pause
LADDERS = ((0.1,), (0.2,), (0.25,), (0.3,), (0.25, 0.5), (0.125, 0.25, 0.5))
PATIENCE = 1 / 6  # of the evaluations: the shipped studies wait for 10 of 60
SHOWN = (
    "learning_rate",
    "batch_size",
    "num_blocks",
    "num_experts",
    "dropout",
    "alpha",
    "lambda_",
    "augmentation",
    "auxiliary_weight",
    "item_std",
)
SPACE = {
    "model": {
        "max_length": 12,
        "num_blocks": {"choice": [1, 2]},
        "num_heads": {"choice": [2, 4, 8]},
        "dropout": {"choice": [0.2, 0.3, 0.4, 0.5]},
        "num_experts": {"choice": [2, 4]},
        "alpha": {"float": [0.0, 1.0], "step": 0.1},
        "lambda_": {"float": [0.001, 1.0], "log": True},
        "augmentation": {"choice": ["add", "mask", "flip"]},
        "rho": {"float": [0.1, 0.9], "step": 0.1},
        "tau": {"float": [0.01, 1.0], "log": True},
        "similarity": {"choice": ["dot", "cosine"]},
        "fusion": {"choice": ["sum", "concat", "gate"]},
    },
    "train": {
        "learning_rate": {"float": [1e-3, 1e-2], "log": True},
        "batch_size": {"choice": [32, 64, 128]},
        "weight_decay": {"choice": [0.0, 1e-6, 1e-5, 1e-4]},
    },
}
DEFINITION = {
    "model": "blade",
    "space": SPACE,
    "data": {
        "source": "split_files",
        "name": STUDY,
        "behaviors": ["click", "like", "share", "follow"],
        "auxiliary": "click",
    },
    "objective": {"metric": METRIC},
    "train": {"max_epochs": 80, "patience": 100_000},
}


def part(
    train_NX: NDArray[np.int64], valid_NX: NDArray[np.int64], options: argparse.Namespace
) -> tuple[NDArray[np.int64], ...]:
    """The rows of train and valid, user first and item second, that make the part."""
    frequent = np.argsort(-np.bincount(train_NX[:, 1]), kind="stable")[: options.items]
    train_NX, valid_NX = (rows[np.isin(rows[:, 1], frequent)] for rows in (train_NX, valid_NX))
    active = np.flatnonzero(np.bincount(train_NX[:, 0]) >= LEAST_ROWS)
    drawn = np.random.default_rng(options.seed).choice(
        np.intersect1d(active, valid_NX[:, 0]), options.users, replace=False
    )
    newest = len(train_NX) - 1 - np.unique(train_NX[::-1, 0], return_index=True)[1]
    kept = np.isin(train_NX[:, 0], drawn)
    kept[newest] |= np.isin(train_NX[newest, 0], valid_NX[:, 0])
    train_NX = train_NX[kept]
    return train_NX, valid_NX[np.isin(valid_NX[:, 0], train_NX[:, 0])]


def run_curves(options: argparse.Namespace) -> None:
    definition, name, recipe = DEFINITION, STUDY, []
    if options.model:
        name = f"{STUDY}-{options.model}"
        definition = {**DEFINITION, "model": options.model, "space": options.model}
        recipe = ["--recipe", "shared", "--name", name]
    train = {**definition["train"], "eval_every": options.eval_every}
    folder = options.results / name / "data"
    folder.mkdir(parents=True, exist_ok=True)
    names = ("train.txt", "valid.txt")
    found = options.data / "qk-video" if (options.data / "qk-video").is_dir() else options.data
    whole = (np.loadtxt(found / name, np.int64, delimiter=",") for name in names)
    drawn = part(*whole, options)
    for file, rows in zip(names, drawn, strict=True):
        np.savetxt(folder / file, rows, "%d", ",")
    study = folder / f"{STUDY}.yaml"
    search = {"sampler": "tpe", "pruner": {"kind": "none"}, "seed": options.seed}
    study.write_text(write_yaml({**definition, "train": train, "search": search}))
    place = ("--study", str(study), *recipe, "--results", str(options.results))
    trials = ("--trials", str(options.trials), "--workers", str(options.workers))
    blade_tune("run", *place, "--data", str(folder), *trials, "--device", "cpu")
    write_curves(options.results / name, options.out)


def write_curves(folder: Path, out: Path) -> None:
    """Write a row for each evaluation of the trials that a study has completed."""
    epochs, trials = (read(folder / f"{name}.csv") for name in ("epochs", "trials"))
    completed = {row["number"]: row for row in trials if row["state"] == "complete"}

    def value(trial: dict[str, str], name: str) -> str | None:
        return trial.get(f"model.{name}") or trial.get(f"train.{name}")

    shown = [name for name in SHOWN if any(value(trial, name) for trial in completed.values())]
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "state", "epoch", METRIC, *shown])
        for row in epochs:
            if row[METRIC] and (trial := completed.get(row["trial"])):
                given = [short(value(trial, name)) for name in shown]
                figure = f"{float(row[METRIC]):.6f}"
                writer.writerow([row["trial"], trial["state"], row["epoch"], figure, *given])
    print(f"{len(completed)} curves in {out}")


def blade_tune(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "blade_tune", *arguments], check=True)


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def short(value: Any) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return str(value)


@dataclass(frozen=True)
class Rule:
    """A rule by which a search spends less, and its replay on curves by a number of workers."""

    name: str
    play: Callable[[list[Curve], int], Replay]


def rules(train: TrainConfig) -> Iterator[Rule]:
    """Every setting that is tried; a median is the percentile 50."""

    def rule(name: str, **settings: Any) -> Rule:
        config = PrunerConfig(**settings)
        warmup = warmup_epochs(config, train)
        return Rule(
            name,
            lambda curves, workers: prune(curves, build_pruner(config, train), warmup, workers),
        )

    def patient(patience: int) -> Rule:
        config = PrunerConfig(kind="median", warmup=0.1)
        warmup = warmup_epochs(config, train)

        def play(curves: list[Curve], workers: int) -> Replay:
            pruner = PatientPruner(build_pruner(config, train), patience)
            return prune(curves, pruner, warmup, workers)

        return Rule(f"patient {patience}, median, warm-up 0.1", play)

    def promotion(factor: int, rungs: tuple[float, ...]) -> Rule:
        config = PrunerConfig(kind="promote", reduction_factor=factor, rungs=rungs)
        ladder = Ladder.of(config, train)
        assert ladder is not None
        shares = ", ".join(f"{share:g}" for share in rungs)
        return Rule(
            f"promote {factor}, rungs {shares}",
            lambda curves, workers: promote(curves, ladder, workers),
        )

    def cut_at(share: float, kept: float) -> Rule:
        epoch = round(share * train.max_epochs)
        name = f"cut at {share:g}, " + (
            f"the best {kept:.0%} go on" if kept else "the best goes on"
        )
        return Rule(name, lambda curves, _: cut(curves, epoch, kept))

    yield rule("none", kind="none")
    for kept, warmup, startup in itertools.product((90, 75, 50, 25), (0.0, 0.1, 0.2, 0.3), (5, 10)):
        name = f"percentile {kept}, warm-up {warmup:g}, startup {startup}"
        yield rule(name, kind="percentile", percentile=kept, warmup=warmup, startup_trials=startup)
    for kind, factor, warmup in itertools.product(("asha", "hyperband"), (2, 3, 4), (0.0, 0.2)):
        yield rule(
            f"{kind} {factor}, warm-up {warmup:g}",
            kind=kind,
            reduction_factor=factor,
            warmup=warmup,
        )
    yield from map(patient, (2, 4))
    yield from itertools.starmap(promotion, itertools.product((2, 3, 4), LADDERS))
    yield from itertools.starmap(
        cut_at, itertools.product((0.1, 0.2, 0.25, 0.3, 0.5), (0, 0.2, 0.33))
    )


def until_patience(curve: Curve) -> Curve:
    """What a trial trains that nothing prunes."""
    stopping = EarlyStopping(METRIC, round(len(curve) * PATIENCE))
    seen: Curve = {}
    for epoch in sorted(curve):
        if not stopping.exhausted:
            seen[epoch] = curve[epoch]
            stopping.update(epoch, {METRIC: curve[epoch]})
    return seen


def read_curves(path: Path) -> tuple[list[Curve], TrainConfig]:
    """The curves of a study, as far as patience lets them go, and its grid of evaluations."""
    whole: dict[str, Curve] = defaultdict(dict)
    for row in read(path):
        whole[row["trial"]][int(row["epoch"])] = float(row[METRIC])
    curves = [until_patience(curve) for curve in whole.values()]
    epochs = sorted(next(iter(whole.values())))
    kept = sum(map(len, curves)) / sum(map(len, whole.values()))
    print(
        f"{path.name}: {len(curves)} curves of {len(epochs)} evaluations, of which patience leaves {kept:.0%}"
    )
    return curves, TrainConfig(max_epochs=epochs[-1], eval_every=epochs[0])


def run_replay(options: argparse.Namespace) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    files, trains = zip(*map(read_curves, options.files), strict=True)
    print("\nBy file:\n")
    print("| pruner | workers | epochs saved | best kept | regret | rank correlation, mean |")
    print("|---|---|---|---|---|---|")
    for rule, workers in itertools.product(rules(trains[0]), options.workers):
        if options.only in rule.name:
            random = np.random.default_rng(options.seed)  # the same orders for all
            by_file = np.array(
                [figures(curves, rule, workers, random, options) for curves in files]
            )
            correlation = by_file[:, 3].mean()
            saved, kept = (
                " ".join(f"{share:.0%}" for share in by_file[:, column]) for column in (0, 1)
            )
            regrets = " ".join(f"{share:.2%}" for share in by_file[:, 2])
            print(
                f"| {rule.name} | {workers} | {saved} | {kept} | {regrets} | {correlation:.2f} |",
                flush=True,
            )


def figures(
    curves: list[Curve],
    rule: Rule,
    workers: int,
    random: np.random.Generator,
    options: argparse.Namespace,
) -> NDArray[np.float64]:
    """Means over shuffled orders: epochs saved, best kept, regret, rank correlation."""
    rows = []
    for _ in range(options.orders):
        order = random.permutation(len(curves))[: round(len(curves) * options.share)]
        drawn = [curves[place] for place in order]
        result = rule.play(drawn, workers)
        values = np.array([max(curve.values()) for curve in drawn])
        chosen = max((values[number] for number in result.completed), default=0.0)
        seen = [result.best[number] for number in range(len(values))]
        saved = 1.0 - result.evaluations / sum(map(len, drawn))
        regret = 1.0 - chosen / values.max()
        rows.append(
            (saved, values.argmax() in result.completed, regret, spearmanr(values, seen)[0])
        )
    return np.mean(rows, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    curves = commands.add_parser("curves")
    curves.add_argument("--data", type=Path, required=True, help="folder of QK-Video's split files")
    curves.add_argument("--results", type=Path, default=Path("results"))
    curves.add_argument("--trials", type=int, default=64)
    curves.add_argument("--workers", type=int, default=1)
    curves.add_argument("--model", help="over its own space, under the shared recipe")
    curves.add_argument("--items", type=int, default=500, help="the most frequent ones")
    curves.add_argument("--users", type=int, default=256, help="to train on")
    curves.add_argument("--eval-every", type=int, default=2)
    curves.add_argument(
        "--seed", type=int, default=2026, help="of the users drawn, and of the study"
    )
    curves.add_argument(
        "--out", type=Path, default=Path("results/paper/pruning-curves-256-users-cpu.csv")
    )
    curves.set_defaults(command=run_curves)
    again = commands.add_parser("replay")
    again.add_argument(
        "files", type=Path, nargs="+", help="each of one study, all on one grid of evaluations"
    )
    again.add_argument("--orders", type=int, default=100)
    again.add_argument(
        "--share", type=float, default=0.5, help="of the curves in each order, drawn anew"
    )
    again.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    again.add_argument("--only", default="", metavar="WORDS", help="of the rule's name")
    again.add_argument("--seed", type=int, default=2026)
    again.set_defaults(command=run_replay)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()

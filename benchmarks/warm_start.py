"""What a warm start brings and costs: searches without one, with a helpful source, and with a misleading one.

    nice -n 10 python benchmarks/warm_start.py --out results/warm_start

Every point of a small space of SASRec is trained once on made-up data, and once on made-up data of another size and
seed, the source. Then searches of TPE over these figures are made on many seeds: without a source, with the best of the
source's configurations, and with those that are the worst here. All arms of a seed draw alike, and are compared seed by
seed. The two CSV files in the folder are added to, so a stopped run goes on.
"""

import argparse
import csv
import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import torch

from blade_tune.data.store import prepare
from blade_tune.parameter import Value
from blade_tune.search.samplers import build_sampler
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.warm_start import (
    COUNT,
    TRIALS_EACH,
    KnownConfiguration,
    WarmSource,
    queue,
    settle,
)
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Hooks
from blade_tune.trial.objective import build_training

FREE = {
    "train.learning_rate": (1e-4, 3e-4, 6e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.5e-2, 3e-2),
    "model.dropout": (0.0, 0.2, 0.6),
    "train.batch_size": (32, 64, 128),
    "train.weight_decay": (0.0, 1e-1),
}
SIZES = {"target": {"num_users": 200}, "source": {"num_users": 260, "seed": 7}}
BUDGETS = (8, 10, 15, 20, 30, 50)
ARMS = ("helpful", "misleading")

Point = tuple[Value, ...]  # a value for each name in FREE


def define(data: str, seed: int = 0) -> StudyDefinition:
    """Return the search over the small space on one of the two data sets."""
    model = {"max_length": 12, "num_blocks": 1, "embedding_size": 16}
    space: dict[str, dict[str, object]] = {"model": {**model}, "train": {}}
    for name, values in FREE.items():
        group, _, field = name.partition(".")
        space[group][field] = {"choice": list(values)}
    content = {
        "model": "sasrec",
        "space": space,
        "data": {
            "source": "synthetic",
            "name": data,
            "behaviors": ["click", "like", "share", "follow"],
            "auxiliary": "click",
            "num_items": 100,
            **SIZES[data],
        },
        "train": {"max_epochs": 4, "eval_every": 2},
        "search": {"seed": seed},
    }
    return StudyDefinition.from_mapping(data, content, "benchmark")


def train_all(data: str, out: Path) -> dict[Point, float]:
    """Return the figure of every point on one of the data sets; train those that the file does not have."""
    path = out / "points.csv"
    known = {row[0] + row[1]: float(row[2]) for row in rows_of(path)}
    definition = define(data)
    prepared = prepare(definition.data, None, out)
    device_data = DeviceData.for_search(prepared, 12, definition.objective, torch.device("cpu"))
    figures = {}
    for point in itertools.product(*FREE.values()):
        key = " ".join(map(str, point))
        if data + key not in known:
            values = {**definition.space.fixed, **dict(zip(FREE, point, strict=True))}
            training = build_training(definition, values, prepared, device_data, seed=1, threads=1)
            result = training.run(Hooks(device_data.evaluator))
            known[data + key] = result.metrics[definition.objective.metric]
            add_row(path, [data, key, known[data + key]])
        figures[point] = known[data + key]
    return figures


def source_of(target: dict[Point, float], source: dict[Point, float], arm: str) -> WarmSource:
    """Return the best configurations of the source, or the target's worst, which no source can be below."""
    if arm == "helpful":
        points = sorted(source, key=source.__getitem__, reverse=True)
    else:
        points = sorted(target, key=target.__getitem__)
    best = [
        KnownConfiguration(dict(zip(FREE, point, strict=True)), {"source": f"point {rank}"})
        for rank, point in enumerate(points[:COUNT])
    ]
    return WarmSource(arm, COUNT, best, "sasrec")


def search(
    figures: dict[Point, float], seed: int, sources: Sequence[WarmSource], asked: int, trials: int
) -> list[float]:
    """Return the best figure after each trial of a search.

    Args:
        figures: the figure of every point.
        seed: the seed of the study.
        sources: the sources of its warm start.
        asked: the budget by which it is decided how many of their configurations are taken.
        trials: how many trials are made.
    """
    definition = define("target", seed)
    sampler = build_sampler(definition.search, definition.space)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    settle(study, definition, sources, asked)
    queue(study, definition, asked)
    reached: list[float] = []
    for _ in range(trials):
        trial = study.ask()
        values = definition.space.suggest(trial)
        value = figures[tuple(values[name] for name in FREE)]
        study.tell(trial, value)
        reached.append(max([value, *reached[-1:]]))
    return reached


def taken_of(budget: int) -> int:
    """Return how many configurations of a source a study takes."""
    return min(COUNT, max(1, budget // TRIALS_EACH))


def search_all(
    figures: dict[Point, float], source: dict[Point, float], out: Path, seeds: int
) -> None:
    """Add the searches of all seeds to their file: seed, arm, configurations that are taken, trials, best figure."""
    path = out / "searches.csv"
    done = {(int(row[0]), row[1], int(row[2])) for row in rows_of(path)}
    for seed in range(seeds):
        for arm, count in [("without", 0), *itertools.product(ARMS, range(1, COUNT + 1))]:
            if (seed, arm, count) in done:
                continue
            sources = [source_of(figures, source, arm)] if count else []
            wanted = (
                BUDGETS if count in (0, COUNT) else [n for n in BUDGETS if taken_of(n) == count]
            )
            reached = search(figures, seed, sources, count * TRIALS_EACH, max(wanted))
            for budget in wanted:
                add_row(path, [seed, arm, count, budget, reached[budget - 1]])


def report(out: Path, highest: float) -> None:
    """Print what each arm reaches as a share of what a search without a warm start does, with standard errors."""
    reached: defaultdict[tuple[str, int, int], list[float]] = defaultdict(list)
    for _, arm, count, budget, best in sorted(rows_of(out / "searches.csv"), key=seed_of):
        reached[arm, int(count), int(budget)].append(float(best))
    print(
        "| trials | taken | without, of the best there is | helpful | misleading | misleading, always "
        f"{COUNT} |\n|---|---|---|---|---|---|"
    )
    for budget in BUDGETS:
        count = taken_of(budget)
        without = reached["without", 0, budget]
        cells = [
            share(reached[arm, taken, budget], without)
            for arm, taken in (("helpful", count), ("misleading", count), ("misleading", COUNT))
        ]
        mean = statistics.fmean(without) / highest
        print(f"| {budget} | {count} | {mean:.1%} | {' | '.join(cells)} |")


def seed_of(row: Sequence[str]) -> int:
    """Return the seed of a search by its row."""
    return int(row[0])


def share(reached: Sequence[float], without: Sequence[float]) -> str:
    """Return the mean of one arm as a share of another's, seed by seed, with its standard error by the delta method."""
    mean = statistics.fmean(without)
    ratio = statistics.fmean(reached) / mean
    errors = [own - ratio * other for own, other in zip(reached, without, strict=True)]
    error = statistics.stdev(errors) / len(errors) ** 0.5 / mean
    return f"{ratio:.1%} ± {error:.1%}"


def rows_of(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a file; none where there is no file."""
    if path.exists():
        with path.open(newline="") as file:
            yield from csv.reader(file)


def add_row(path: Path, row: Sequence[object]) -> None:
    """Add a row to a file."""
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/warm_start"))
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options.out.mkdir(parents=True, exist_ok=True)
    source, target = (train_all(data, options.out) for data in ("source", "target"))
    search_all(target, source, options.out, options.seeds)
    report(options.out, max(target.values()))


if __name__ == "__main__":
    main()

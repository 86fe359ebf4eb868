"""Seconds to validation figures on QK-Video, for each neural model, under the published recipe and the shared one.

    python benchmarks/time_to_quality.py --data DIR --limit 120 --out quality.jsonl

Each training is a process of one thread, alone or two at a time as two workers have it, and ends at the last of the
figures or at the limit. Seconds are of the wall, from building the model on, with its start and all evaluations in
them; the data is prepared before. What is in the file already is not trained again, so that the same command goes on
where it was stopped, and what is printed is everything in it, of each place the rows of the highest limit: medians over
seeds, `-` where not every seed came so far.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import torch

from blade_tune.data.config import data_config
from blade_tune.data.store import prepare
from blade_tune.errors import InterruptedStudyError
from blade_tune.models import MODELS
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import model_class
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.recipes import RECIPES
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Hooks
from blade_tune.trial.objective import build_training

DATA = {
    "source": "split_files",
    "name": "qk-video",
    "behaviors": ["click", "like", "share", "follow"],
    "auxiliary": "click",
}
LEVELS = (0.0087, 0.0110, 0.0127, 0.0156)
NEURAL = [name for name in MODELS if issubclass(model_class(name), NeuralRecommender)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of QK-Video's split files")
    parser.add_argument("--models", nargs="+", choices=NEURAL, default=NEURAL)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    parser.add_argument(
        "--workers", nargs="+", type=int, default=[1, 2], help="trainings at a time"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a training")
    parser.add_argument("--out", type=Path, default=Path("time_to_quality.jsonl"))
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        model, recipe, seed = options.only
        print(json.dumps(curve_under(model, recipe, int(seed), options.data, options.limit)))
        return
    prepare(data_config(DATA, "data"), options.data, Path("results"))
    for workers, model, recipe in product(options.workers, options.models, options.recipes):
        measure(workers, model, recipe, options)
    print_table(rows_of(options.out))


def measure(workers: int, model: str, recipe: str, options: argparse.Namespace) -> None:
    """Train what is missing of one line of the table."""
    place = {"workers": workers, "model": model, "recipe": recipe, "limit": options.limit}
    done = {
        row["seed"]
        for row in rows_of(options.out)
        if all(row[key] == value for key, value in place.items())
    }

    def run(seed: int) -> dict[str, Any]:
        own = [
            "--data",
            str(options.data),
            "--limit",
            str(options.limit),
            "--only",
            model,
            recipe,
            str(seed),
        ]
        ended = subprocess.run(
            [sys.executable, __file__, *own], check=True, stdout=subprocess.PIPE, text=True
        )
        return place | {"seed": seed} | json.loads(ended.stdout)

    with ThreadPoolExecutor(workers) as pool:
        for row in pool.map(run, [seed for seed in range(options.seeds) if seed not in done]):
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def curve_under(
    model: str, recipe: str, seed: int, directory: Path, limit: float
) -> dict[str, Any]:
    """The curve of one training under a recipe: seconds and validation figures."""
    content = {
        "model": model,
        "recipe": recipe,
        "space": {},
        "data": DATA,
        "train": {"eval_every": 1, "patience": 100_000},
    }
    return {"curve": curve_of(content, seed, directory, limit, LEVELS[-1])}


def curve_of(
    content: dict[str, Any], seed: int, directory: Path, limit: float, enough: float = 1.0
) -> list[tuple[float, float]]:
    """Seconds and validation figures of a study's fixed configuration, from before its first step on.

    Args:
        content: of a study file.
        seed: of the training.
        directory: of the data's files.
        limit: seconds after which no epoch begins.
        enough: figure after which none does.
    """
    torch.set_num_threads(1)
    definition = StudyDefinition.from_mapping("benchmark", content, "benchmark")
    data = prepare(definition.data, directory, Path("results"))
    length = int(definition.space.fixed.get("model.max_length", 50))
    device_data = DeviceData.for_search(data, length, definition.objective, torch.device("cpu"))
    begin = time.perf_counter()
    training = build_training(
        definition, definition.space.fixed, data, device_data, seed, threads=1
    )
    curve = [
        (time.perf_counter() - begin, device_data.evaluator(training.model).metrics["ndcg@10"])
    ]

    def on_epoch(record: EpochRecord) -> None:
        if record.metrics:
            curve.append((time.perf_counter() - begin, record.metrics["ndcg@10"]))
        if curve[-1][0] > limit or curve[-1][1] >= enough:
            raise InterruptedStudyError("far enough.")

    with suppress(InterruptedStudyError):
        if curve[0][1] < enough:
            training.run(Hooks(device_data.evaluator, on_epoch))
    return [(round(seconds, 2), round(figure, 5)) for seconds, figure in curve]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """What was measured so far."""
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )


def print_table(rows: list[dict[str, Any]]) -> None:
    """A line for each number of workers, model and recipe."""
    print(f"torch {torch.__version__}, medians over seeds\n")
    levels = " | ".join(f"s to {level:.4f}" for level in LEVELS)
    print(
        f"| model | recipe | at a time | seeds | limit, s | before a step | {levels} | best | after s |"
    )
    print("|---|---|---|---|---|---|" + "---|" * len(LEVELS) + "---|---|")
    for workers, model, recipe in product(
        sorted({row["workers"] for row in rows}), NEURAL, RECIPES
    ):
        own = [
            row
            for row in rows
            if (row["workers"], row["model"], row["recipe"]) == (workers, model, recipe)
        ]
        if own:
            limit = max(row["limit"] for row in own)
            curves = [row["curve"] for row in own if row["limit"] == limit]
            print(
                f"| {model} | {recipe} | {workers} | {len(curves)} | {limit:.0f} | {in_words(curves)} |",
                flush=True,
            )


def in_words(curves: list[list[tuple[float, float]]]) -> str:
    """The start, the seconds to each level, and the best figure with its second; medians."""
    cells = [f"{statistics.median(curve[0][1] for curve in curves):.4f}"]
    for level in LEVELS:
        firsts = [
            next((seconds for seconds, figure in curve if figure >= level), None)
            for curve in curves
        ]
        reached = [first for first in firsts if first is not None]
        cells.append(f"{statistics.median(reached):.1f}" if len(reached) == len(curves) else "-")
    bests = [max(curve, key=lambda point: point[1]) for curve in curves]
    cells += [
        f"{statistics.median(best[1] for best in bests):.4f}",
        f"{statistics.median(best[0] for best in bests):.0f}",
    ]
    return " | ".join(cells)


if __name__ == "__main__":
    main()

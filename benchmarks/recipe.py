"""What each part of the shared recipe is worth: one changed at a time, on QK-Video or on the demo's made-up data.

    python benchmarks/recipe.py --data DIR --out recipe.csv
    python benchmarks/recipe.py --demo --out demo.csv

Each training is a process of one thread, as many at a time as `--workers` says. Rows are written as they come, and what
is in the file is not trained again; then a table is printed: means over seeds of the best of all evaluations.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from time_to_quality import DATA, curve_of

from blade_tune.data.config import data_config
from blade_tune.data.store import prepare
from blade_tune.spec.recipes import SHARED

FIELDS = ("model", "variant", "seed", "before a step", "best", "after s", "total s", "curve")
BLADE = {"num_blocks": 1, "num_experts": 2, "set_softmax": "present"}
QK_VIDEO = {
    "data": DATA,
    "train": {"max_epochs": 60, "eval_every": 3, "patience": 100},
    "models": {  # what each has beside the recipe, the same for all variants
        "sasrec": {"num_blocks": 1, "num_heads": 1},
        "blade": {
            **BLADE,
            "num_heads": 1,
            "cross_residual": "fused",
            "lambda_": 0.0,
            "richness_weight": False,
        },
    },
}
DEMO = {
    "data": {**DATA, "source": "synthetic", "name": "demo"},
    "train": {
        "max_epochs": 24,
        "eval_every": 2,
        "patience": 100,
        "batch_size": 24,
        "learning_rate": 4e-3,
    },
    "models": {
        "blade": {**BLADE, "num_heads": 2, "max_length": 12, "factor_init": "ones", "lambda_": 0.1}
    },
}
VARIANTS: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "item_init: cooccurrence": {"model": {"item_init": "cooccurrence"}},
    "item_init: cooccurrence, 3 x learning_rate": {
        "model": {"item_init": "cooccurrence"},
        "rate": 10 / 3,
    },
    "item_init: random": {"model": {"item_init": "random"}},
    "item_init: random, 3 x learning_rate": {"model": {"item_init": "random"}, "rate": 10 / 3},
    "block_init: random": {"model": {"block_init": "random"}},
    "loss: bce": {"model": {"loss": "bce"}},
    "loss: ce, 12 epochs": {"model": {"loss": "ce"}, "train": {"max_epochs": 12, "eval_every": 1}},
    "num_negatives: 1024": {"model": {"num_negatives": 1024}},
    "auxiliary_weight: 0": {"model": {"auxiliary_weight": 0.0}},
    "auxiliary_weight: 0.3": {"model": {"auxiliary_weight": 0.3}},
    "auxiliary_weight: 1": {"model": {"auxiliary_weight": 1.0}},
    "item_std: 0.05": {"model": {"item_std": 0.05}},
    "item_std: 0.2": {"model": {"item_std": 0.2}},
    "embedding_size: 64": {"model": {"embedding_size": 64}},
    "dropout: 0.3": {"model": {"dropout": 0.3}},
    "dropout: 0.7": {"model": {"dropout": 0.7}},
    "3 x learning_rate": {"rate": 10 / 3},
    "batch_size: 64": {"train": {"batch_size": 64}},
    "weight_decay: 0": {"train": {"weight_decay": 0.0}},
    "weight_decay: 3e-4": {"train": {"weight_decay": 3e-4}},
    "weight_decay: 1e-3": {"train": {"weight_decay": 1e-3}},
    "schedule: plateau": {"train": {"schedule": "plateau"}},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--data", type=Path, help="folder of QK-Video's split files")
    chosen.add_argument(
        "--demo", action="store_true", help="made-up data, in which only behavior sets tell"
    )
    parser.add_argument(
        "--models", nargs="+", help="of sasrec (not with --demo) and blade; default: the first"
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("recipe.csv"))
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    task = DEMO if options.demo else QK_VIDEO
    models = options.models or list(task["models"])[:1]
    if unknown := set(models) - set(task["models"]):
        parser.error(f"--models: {', '.join(unknown)}: choose from {', '.join(task['models'])}")
    if options.only:
        model, variant, seed = options.only
        print(
            json.dumps(
                curve_of(content_of(task, model, variant), int(seed), options.data, float("inf"))
            )
        )
        return
    prepare(data_config(task["data"], "data"), options.data, Path("results"))
    done = {(row["model"], row["variant"], int(row["seed"])) for row in rows_of(options.out)}
    places = product(range(options.seeds), models, options.variants)
    missing = [
        (model, variant, seed)
        for seed, model, variant in places
        if (model, variant, seed) not in done
    ]
    where = ["--demo"] if options.demo else ["--data", str(options.data)]
    with ThreadPoolExecutor(options.workers) as pool:
        for row in pool.map(lambda place: trained(*place, where), missing):
            write(options.out, row)
    print_table(rows_of(options.out))


def content_of(task: dict[str, Any], model: str, variant: str) -> dict[str, Any]:
    """The study of one variant."""
    changes = VARIANTS[variant]
    space = {"model": {**task["models"][model], **changes.get("model", {})}}
    rate = task["train"].get("learning_rate", SHARED["train.learning_rate"]) * changes.get(
        "rate", 1.0
    )
    train = {**task["train"], "learning_rate": rate, **changes.get("train", {})}
    return {
        "model": model,
        "recipe": "shared",
        "space": space,
        "data": task["data"],
        "train": train,
    }


def trained(model: str, variant: str, seed: int, where: list[str]) -> dict[str, Any]:
    """A row, made in a process of its own."""
    command = [sys.executable, __file__, *where, "--only", model, variant, str(seed)]
    curve = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    seconds, best = max(curve, key=lambda point: point[1])
    figures = (
        curve[0][1],
        best,
        seconds,
        curve[-1][0],
        " ".join(f"{point[1]:.5f}" for point in curve),
    )
    return dict(zip(FIELDS, (model, variant, seed, *figures), strict=True))


def write(path: Path, row: dict[str, Any]) -> None:
    """Add a row, under a head where it is the first."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def rows_of(path: Path) -> list[dict[str, str]]:
    """What was measured so far."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def print_table(rows: list[dict[str, str]]) -> None:
    """A line for each variant: means over its seeds."""
    print("| model | variant | seeds | before a step | best | after s |\n|---|---|---|---|---|---|")
    for model, variant in product(QK_VIDEO["models"], VARIANTS):
        own = [row for row in rows if (row["model"], row["variant"]) == (model, variant)]
        if own:
            before, best, after = (
                statistics.mean(float(row[name]) for row in own)
                for name in ("before a step", "best", "after s")
            )
            print(f"| {model} | {variant} | {len(own)} | {before:.4f} | {best:.4f} | {after:.0f} |")


if __name__ == "__main__":
    main()

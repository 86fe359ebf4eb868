"""Everything that docs/paper.md is made of, in one command that can be stopped and goes on.

    python benchmarks/paper.py --data ~/data/qk-video --results ~/table --dry-run   # what it takes at most
    python benchmarks/paper.py --data ~/data/qk-video --results ~/table
    python benchmarks/paper.py --data ~/data/qk-video --results ~/table --test      # once, at the end
    python benchmarks/paper.py --data ~/data/kuaisar --results ~/table --study kuaisar

Table 1 in the shared and in the published recipe (`compare`, contrasts with BLADE named before anything runs), then
Table 3 (`ablate`) and Figures 3, 5 and 6 (`sweep`) around BLADE's confirmed winner of each recipe. Every step is a
command of blade-tune, which does only what is not done yet; its table and its rows, Table 1's beside what others
published, are RESULTS/paper/STEP.md and .csv. What follows `--` goes to every command that trains: `-- --workers 2`.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODELS = (
    "popularity,item_knn,ease,pure_svd,ials,combination,"
    "sasrec,cl4srec,dymus,mbht,mb_str,eidp,blade,blade_released,dymus_plus"  # the slowest last
)
RECIPES = ("shared", "published")
# BLADE's Figures 3, 5 and 6; the paper's lambda is half of ours
GRIDS = {
    "figure-3": "--grid --param model.augmentation --values add,mask,flip --param model.rho "
    "--values 0.1,0.3,0.5,0.7,0.9 --line model.augmentation=none",
    "figure-5": "--param model.lambda_ --values 0.002,0.02,0.2,2.0",
    "figure-6": "--param model.alpha --values 0.0,0.2,0.4,0.6,0.8,1.0",
}
# Configurations of Table 3 and of the three figures, the winner among each
NUM_CONFIGURATIONS = 7 + 16 + 5 + 7
PUBLISHED = Path(__file__).parents[1] / "studies" / "published.csv"


@dataclass(frozen=True)
class Step:
    """One command, and the name under which its output is kept."""

    name: str
    words: list[str]


def comparisons(options: argparse.Namespace) -> Iterator[Step]:
    """Yield the two commands of Table 1."""
    for recipe in RECIPES:
        words = ["compare", "--study", options.study, "--models", options.models]
        words += ["--recipe", recipe, "--budget", options.budget, "--epochs", str(options.epochs)]
        words += ["--top", str(options.top), "--seeds", str(options.seeds), "--against", "blade"]
        words += ["--told", "truth,mode", "--uneven", "--data", str(options.data)]
        yield Step(f"table-1-{recipe}", words)


def effects(options: argparse.Namespace) -> Iterator[Step]:
    """Yield the commands of Table 3 and of the figures."""
    for recipe in RECIPES:
        other = "published-" if recipe == "published" else ""
        study = ["--study", f"{options.study}.compare-{other}blade"]
        yield Step(f"table-3-{recipe}", ["ablate", *study])
        for name, grid in GRIDS.items():
            yield Step(f"{name}-{recipe}", ["sweep", *study, *grid.split()])


def output(step: Step, options: argparse.Namespace, *more: str) -> tuple[int, str]:
    """Run a step; return its exit code and what it printed. Its progress is kept in a file of its own."""
    command = [sys.executable, "-m", "blade_tune", *step.words]
    command += ["--results", str(options.results), *more, *options.rest]
    with (options.results / "paper" / f"{step.name}.log").open("a") as log:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    return ended.returncode, ended.stdout


def run(step: Step, options: argparse.Namespace) -> int:
    """Run a step, write its table and its rows, and print how it went."""
    test = ["--test"] if options.test else []
    name = f"{step.name}-test" if options.test else step.name
    path = options.results / "paper" / f"{name}.md"
    started = time.monotonic()
    code, text = output(step, options, *test, "-f", "markdown")
    if code == 0:
        path.write_text(text)
        code, rows = output(step, options, *test, "-f", "csv", "-q")
    if code == 0:
        path.with_suffix(".csv").write_text(rows)
        if step.name.startswith("table-1"):
            beside_published(path.with_suffix(".csv"), options.study)
    hours = (time.monotonic() - started) / 3600
    print(f"{name}: exit code {code} after {hours:.2f} h; {path}", flush=True)
    return code


def beside_published(path: Path, study: str) -> None:
    """Add to the rows of Table 1 what others published of the same models on the same data."""
    with path.open(newline="") as file:
        measured = [{"source": "measured", **row} for row in csv.DictReader(file)]
    with PUBLISHED.open(newline="") as file:
        published = [row for row in csv.DictReader(file) if row.pop("dataset") == study]
    models = {row["model"] for row in measured}
    rows = [*measured, *(row for row in published if row["model"] in models)]
    names = dict.fromkeys(["model", "source", *measured[0]])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_cost(options: argparse.Namespace) -> int:
    """Print what is left to do of Table 1, and what the rest takes at most; return the highest exit code."""
    codes = []
    for step in comparisons(options):
        code, text = output(step, options, "--dry-run", "-f", "json", "-q")
        codes.append(code)
        if code:
            print(f"{step.name}: exit code {code}; {options.results / 'paper' / step.name}.log")
            continue
        rows = {row["model"]: row for row in json.loads(text)}
        blade = rows["blade"]
        runs = NUM_CONFIGURATIONS * options.seeds
        hours = runs * options.epochs * (blade["epoch_s"] + blade["evaluation_s"]) / 3600
        for model, row in rows.items():
            print(f"{step.name}: {model}: {row['hours_at_most']:.2f} h")
        print(f"{step.name}: Table 3 and Figures 3, 5, 6: {runs} runs of blade, {hours:.2f} h")
    print("hours of one worker on this device, if nothing is pruned or stops early")
    return max(codes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the split files")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--study", default="qk-video", help="study file: qk-video, kuaisar, ...")
    parser.add_argument("--models", default=MODELS, help="separated by commas, blade among them")
    parser.add_argument("--budget", default="cpu_hours:0.25", help="of each search; see `compare`")
    parser.add_argument("--epochs", type=int, default=100, help="of a trial at most")
    parser.add_argument("--top", type=int, default=1, help="configurations of each that go on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true", help="open the test rows: once, at the end")
    parser.add_argument("--only", default="", help="steps whose names begin so: table-1, figure-3")
    parser.add_argument("--dry-run", action="store_true", help="print what it takes at most")
    parser.add_argument("rest", nargs="*", help="for every command, after --")
    options = parser.parse_args()
    (options.results / "paper").mkdir(parents=True, exist_ok=True)
    if options.dry_run:
        sys.exit(print_cost(options))
    steps = [*comparisons(options), *effects(options)]
    codes = [run(step, options) for step in steps if step.name.startswith(options.only)]
    sys.exit(max(codes, default=0))


if __name__ == "__main__":
    main()

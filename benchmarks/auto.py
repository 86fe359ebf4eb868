"""How often `blade-tune auto` ends with a model of the right family, on data made by a known law.

    python benchmarks/auto.py --out planted.csv                       # each of four laws, 20 seeds, two minutes each
    python benchmarks/auto.py --out planted.csv --laws sets --seeds 5

A row a data set is appended to the file as soon as it is there, and rows that are there are not made again. Laws: only
the order of items tells what comes next; only behavior sets do; only popularity; only which items occur together. A
family is right if it can know the law and no simpler one can.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from blade_tune.config import write_yaml

CLASSICAL = ("pure_svd", "item_knn", "ials", "ease", "sequential_rules")
READS_SETS = ("eidp", "blade", "blade_released", "mb_str", "mbht", "dymus", "dymus_plus")
LAWS: dict[str, dict[str, Any]] = {  # settings of the data, beside those of DATA
    "order": {"without": ["sets"]},
    "sets": {"without": ["order"]},
    "popularity": {"noise": 1.0, "skew": 1.0},
    "co-occurrence": {"without": ["order", "sets", "recency"]},
}
RIGHT = {
    "order": ("sequential_rules", "sasrec", "cl4srec", *READS_SETS),
    "sets": READS_SETS,
    "popularity": ("popularity",),
    "co-occurrence": CLASSICAL,
}
DATA = {
    "source": "synthetic",
    "name": "planted",
    "behaviors": ["click", "like", "share", "follow"],
    "auxiliary": "click",
    "num_users": 800,
    "num_items": 50,
    "num_clusters": 5,
    "min_length": 6,
    "max_length": 12,
    "noise": 0.0,
}
TRAIN = {"max_epochs": 60, "eval_every": 2, "patience": 5}
FIELDS = (
    *("law", "seed", "chosen", "is_right", "best", "expected", "over_classical", "seconds"),
    *("families", "trials", "for"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="CSV file, appended to")
    parser.add_argument("--laws", default=",".join(LAWS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="seed of the first data set")
    parser.add_argument("--for", dest="duration", default="2m")
    options = parser.parse_args()
    rows = read(options.out)
    done = {(row["law"], row["seed"], row["for"]) for row in rows}
    for seed in range(options.first, options.first + options.seeds):
        for law in options.laws.split(","):
            if (law, str(seed), options.duration) in done:
                continue
            row = chosen(law, seed, options.duration)
            append(options.out, row)
            print({name: row[name] for name in ("law", "seed", "chosen", "is_right")}, flush=True)
    print_table(read(options.out))


def chosen(law: str, seed: int, duration: str) -> dict[str, Any]:
    """Run `auto` on one data set, and return a row on what it chose."""
    study = {
        "model": "sasrec",
        "recipe": "shared",
        "data": {**DATA, **LAWS[law], "seed": seed},
        "train": TRAIN,
        "search": {"seed": seed},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "studies" / "planted.yaml"
        path.parent.mkdir()
        path.write_text(write_yaml(study), encoding="utf-8")
        words = [sys.executable, "-m", "blade_tune", "auto", "--study", "planted"]
        begun = time.perf_counter()
        ended = subprocess.run(
            [*words, "--for", duration, "-f", "json", "-q"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - begun
    if ended.returncode:
        sys.exit(f"{law}, seed {seed}: exit code {ended.returncode}\n{ended.stderr}")
    facts = json.loads(ended.stdout)
    tried = [family for family in facts["families"] if family["trials"]]
    over = facts["over_classical"]
    return {
        "law": law,
        "seed": seed,
        "chosen": facts["chosen"],
        "is_right": int(facts["chosen"] in RIGHT[law]),
        "best": facts["best"],
        "expected": round(facts["expected"]["mean"], 5),
        "over_classical": round(over["difference"], 5) if over else "",
        "seconds": round(seconds, 1),
        "families": len(tried),
        "trials": sum(family["trials"] for family in tried),
        "for": duration,
    }


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows that are there."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: dict[str, Any]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def print_table(rows: list[dict[str, str]]) -> None:
    """Print, for each law, how often a right family was chosen, which ones, and the longest time."""
    print("\n| law | time | right | of | chosen | seconds at most |\n|---|---|---|---|---|---|")
    for law, duration in dict.fromkeys((row["law"], row["for"]) for row in rows):
        of_law = [row for row in rows if (row["law"], row["for"]) == (law, duration)]
        right = sum(int(row["is_right"]) for row in of_law)
        names = Counter(row["chosen"] for row in of_law).most_common()
        listed = ", ".join(f"{name} {count}" for name, count in names)
        longest = max(float(row["seconds"]) for row in of_law)
        print(f"| {law} | {duration} | {right} | {len(of_law)} | {listed} | {longest:.0f} |")


if __name__ == "__main__":
    main()

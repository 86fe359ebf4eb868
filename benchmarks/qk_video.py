"""QK-Video's columns of the paper's Table 1: 30 full trials of blade, and the published setting of blade_released.

Resumable: run it again and it goes on. With a GPU:

    python benchmarks/qk_video.py --data DIR

`--epochs 5 --trials 3` makes a short look of it on a CPU, which compares with nothing. Prints the CSV it writes.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

FIGURES = ("ndcg@5", "hr@5", "ndcg@10", "hr@10")
PUBLISHED = {"model": "BLADE, Table 1", "ndcg@5": 0.0097, "hr@5": 0.0161, "ndcg@10": 0.0127, "hr@10": 0.0256}


def blade_tune(*arguments: str) -> str:
    command = [sys.executable, "-m", "blade_tune", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def row(study: str, trials: int, options: argparse.Namespace) -> dict[str, object]:
    epochs = ["--epochs", str(options.epochs)] if options.epochs else []
    place = ["--study", study, "--results", str(options.results)]
    blade_tune("run", *place, "--data", str(options.data), "--trials", str(trials), *epochs)
    exported = json.loads(blade_tune("export-best", *place, "-f", "json"))
    status = json.loads(blade_tune("status", *place, "-f", "json"))
    provenance = json.loads((Path(exported["bundle"]) / "provenance.json").read_text())
    return {
        "model": status["model"],
        **{name: round(exported["test"][name], 4) for name in FIGURES},
        "trials": status["scored"],
        "epochs": provenance["epochs"],
        "max_epochs": provenance["fingerprint"]["space"]["train.max_epochs"],
        "valid_ndcg@10": round(exported["valid"]["ndcg@10"], 4),
        "seed": provenance["training_seed"],
        "device": provenance["device"],
        "commit": provenance["commit"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the split files")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--trials", type=int, default=30, help="trials of blade")
    parser.add_argument("--epochs", type=int, help="fewer epochs than the studies have")
    parser.add_argument("--out", type=Path, default=Path("results/paper/qk-video.csv"))
    options = parser.parse_args()
    rows = [PUBLISHED, row("qk-video", options.trials, options), row("qk-video-released", 1, options)]
    columns = list(rows[-1])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(options.out.read_text())


if __name__ == "__main__":
    main()

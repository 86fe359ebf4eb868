"""QK-Video's columns of the paper's Table 1: nine models, tuned under equal budgets, beside the published figures.

    python benchmarks/qk_video.py --data DIR --dry-run      # what it takes on this machine
    python benchmarks/qk_video.py --data DIR                # 9 models x 60 trials, top 3 on 5 seeds, then the test rows

It is `blade-tune compare --study qk-video --models all --test`, whose figures it puts beside those of
studies/published.csv. It can be stopped and goes on. What follows `--` goes to `compare`: `-- --workers 4`,
`-- --loss ce`. Prints the CSV it writes.
"""

import argparse
import csv
import io
import subprocess
import sys
from pathlib import Path

FIGURES = ("ndcg@5", "hr@5", "ndcg@10", "hr@10")
KEPT = (
    "loss",
    "told_target_set",
    "seeds",
    "trials",
    "epochs",
    "hours",
    "trial",
    "expected",
    "expected_low",
    "expected_high",
    "compared_with",
    "difference",
    "difference_low",
    "difference_high",
    "p_holm",
    "part",
)
ROUNDED = {name for name in KEPT if name.startswith(("expected", "difference", "p_"))}
PUBLISHED = Path(__file__).parents[1] / "studies" / "published.csv"


def compare(options: argparse.Namespace, form: str, *more: str) -> str:
    command = [
        sys.executable,
        "-m",
        "blade_tune",
        "compare",
        "--study",
        "qk-video",
        "--models",
        options.models,
    ]
    command += [
        "--data",
        str(options.data),
        "--results",
        str(options.results),
        "--trials",
        str(options.trials),
    ]
    command += [
        "--top",
        str(options.top),
        "--seeds",
        str(options.seeds),
        "-f",
        form,
        *options.rest,
        *more,
    ]
    command += ["--epochs", str(options.epochs)] if options.epochs else []
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def rounded(figure: str) -> str:
    return f"{float(figure):.4f}" if figure else ""


def beside(
    measured: list[dict[str, str]], published: list[dict[str, str]], max_epochs: int | None
) -> list[dict[str, str]]:
    """A row a model as measured, and after it what others published of it."""
    rows = []
    for row in measured:
        figures = {
            name: rounded(row[name])
            for metric in FIGURES
            for name in (metric, f"{metric} sd")
            if name in row
        }
        kept = {name: rounded(row[name]) if name in ROUNDED else row.get(name, "") for name in KEPT}
        rows.append(
            {
                "model": row["model"],
                "source": "measured",
                **figures,
                **kept,
                "max_epochs": str(max_epochs or 300),
            }
        )
        rows += [
            {
                "model": theirs["model"],
                "source": theirs["source"],
                **{name: theirs[name] for name in FIGURES},
            }
            for theirs in published
            if (theirs["dataset"], theirs["model"]) == ("qk-video", row["model"])
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the split files")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--models", default="all", help="separated by commas")
    parser.add_argument("--trials", type=int, default=60, help="of each model")
    parser.add_argument(
        "--top", type=int, default=3, help="configurations of each model on fresh seeds"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="fewer epochs than the study has")
    parser.add_argument("--dry-run", action="store_true", help="what it takes on this machine")
    parser.add_argument("--out", type=Path, default=Path("results/paper/qk-video.csv"))
    parser.add_argument("rest", nargs="*", help="options of `compare`, after --")
    options = parser.parse_args()
    if options.dry_run:
        print(compare(options, "table", "--dry-run"), end="")
        return
    measured = list(csv.DictReader(io.StringIO(compare(options, "csv", "--test"))))
    with PUBLISHED.open(newline="") as file:
        published = list(csv.DictReader(file))
    rows = beside(measured, published, options.epochs)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(options.out.read_text(), end="")


if __name__ == "__main__":
    main()

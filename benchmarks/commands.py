"""How long commands take that only read, beside the imports that they cannot do without.

    python benchmarks/commands.py --study demo [--results DIR] [--repeat N] [--program PATH ...]

Seconds of processor time (user and system) of a whole process, medians of N. `--program` times other installations of
the program in the same rounds, such as one of an older commit. Reading a study may take at most twice the imports of
Optuna and SQLAlchemy, and help at most twice those of click, PyYAML and pydantic.
"""

import resource
import statistics
import subprocess
import sys
import sysconfig
from pathlib import Path

import click
from tabulate import tabulate

IMPORTS = {
    "import click, yaml, pydantic": "import click, yaml, pydantic",
    "import optuna, sqlalchemy": "import optuna, sqlalchemy",
    "import torch": "import torch",
}
COMMANDS = (
    "--help",
    "run --help",
    "status -s {study}",
    "trials -s {study}",
    "show 1 -s {study}",
    "ledger -s {study}",
    "stop -s {study}",
    "doctor",
    "space show blade",
    "space check blade --model blade",
    "data stats -s {study}",
    "report -s {study}",
    "status -s misspelled",
    "statsu",
)


def seconds(words: list[str]) -> float:
    """Processor time of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@click.command()
@click.option("--study", required=True)
@click.option("--results", type=click.Path(path_type=Path, exists=True), default=Path("results"))
@click.option("--repeat", default=5)
@click.option("--program", "programs", multiple=True, help="Other installations of blade-tune.")
def main(study: str, results: Path, repeat: int, programs: tuple[str, ...]) -> None:
    here = str(Path(sysconfig.get_path("scripts")) / "blade-tune")
    runs = {name: {"": [sys.executable, "-c", code]} for name, code in IMPORTS.items()}
    for command in COMMANDS:
        words = command.format(study=study).split()
        if "-s" in words or words[0] == "doctor":
            words += ["--results", str(results)]
        runs[command.format(study=study)] = {
            program: [program, *words] for program in (here, *programs)
        }
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeat):
        for name, ways in runs.items():
            for program, words in ways.items():
                taken.setdefault((name, program), []).append(seconds(words))
    medians = {key: statistics.median(values) for key, values in taken.items()}
    least = medians["import optuna, sqlalchemy", ""]
    rows = []
    for name, ways in runs.items():
        figures = [medians[name, program] for program in ways]
        others = [f"{figure:.2f}" for figure in figures[1:]] or [""] * len(programs)
        rows.append([name, f"{figures[0]:.2f}", *others, f"{figures[0] / least:.2f}"])
    heads = ["command", "seconds", *programs, "times the imports of Optuna and SQLAlchemy"]
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()

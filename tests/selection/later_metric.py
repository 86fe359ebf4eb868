"""Commands on a study that is older than a metric, in a process of its own, whose blade_tune has that metric.

Started by `test_added_metric.py` in the folder of the study; prints what each command said as one JSON object.
"""

import json
import logging
from pathlib import Path

from click.testing import CliRunner

from blade_tune.cli.program import blade_tune
from blade_tune.data.store import prepare
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.tiny import content, work

RESULTS = Path("results")
COMMANDS = {
    "status": "status -s tiny -f json",
    "trials": "trials -s tiny -f json",
    "show": "show 0 -s tiny -f json",
    "confirm": "confirm -s tiny --top 2 --seeds 2 --test -q -f json",
    "sweep": "sweep -s tiny --param model.alpha --values 0.5 -q -f json",
    "compare": "compare -s tiny --models blade,item_knn --trials 2 --top 1 --seeds 2 --epochs 1 --test -q -f json",
    "reproduce": "reproduce 0 -s tiny -f json",
    "export": "export-best -s tiny -q -f json",
    "stats": "data stats -s tiny -f json",
    "by-mrr trials": "trials -s by-mrr -f json",
    "by-mrr status": "status -s by-mrr -f json",
}


def said(command: str) -> object:
    """What a command prints as JSON."""
    return json.loads(
        CliRunner().invoke(blade_tune, command.split(), catch_exceptions=False).stdout
    )


def search_by(metric: str) -> None:
    """Run another study of the same data, by the new metric."""
    definition = StudyDefinition.from_mapping(
        "by-mrr", content(objective__metric=metric), "by-mrr.yaml"
    )
    data = prepare(definition.data, None, RESULTS)
    work(open_study(definition, data, Workspace.at(None, RESULTS)))


def main() -> None:
    """Print what the commands say, and the warnings that there were; write the report of the older study."""
    warnings: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("blade_tune").addHandler(handler)
    search_by("later_mrr@10")
    answers = {name: said(command) for name, command in COMMANDS.items()}
    CliRunner().invoke(blade_tune, ["report", "-s", "tiny"], catch_exceptions=False)
    print(json.dumps({**answers, "warnings": warnings}))  # noqa: T201


if __name__ == "__main__":
    main()

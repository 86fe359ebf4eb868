"""Commands that only read start fast: none of them, and no mistake in a command line, loads torch."""

import json
import subprocess
import sys
from pathlib import Path

import click

from blade_tune.cli.program import blade_tune

READING = (
    "--help",
    "run --help",
    "status -s tiny",
    "status -s tiny -f json",
    "status",
    "studies --all",
    "trials -s tiny",
    "show 1 -s tiny",
    "ledger -s tiny",
    "stop -s tiny",
    "doctor",
    "space list",
    "space show blade",
    "space check blade --model blade",
    "data list",
    "data stats -s tiny",
    "study new mine --from tiny",
    "report -s tiny",
    "run -s tiny --dry-run",
)
MISTAKES = (
    "statsu",
    "status --watch",
    "status -s tinny",
    "show 99 -s tiny",
    "run -s tinny",
    "run -s tiny --trials x",
    "run -s tiny --model blad",
    "space check blad",
    "study new tiny --from demo",
    "run -s tiny --name demo",
    "data get movieln",
    "confirm -s tinny",
    "export-best -s tinny",
    "compare -s tinny",
    "reproduce 1 -s tinny",
    "ablate -s tinny",
    "sweep -s tinny alpha",
    "worker -s tinny",
    "recommend --bundle nowhere --users nobody.csv",
    "serve --bundle nowhere",
)
# Runs commands one after another in a new process, and prints the first that has loaded torch.
WATCH = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from blade_tune.cli.main import main
ends = {}
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words.split()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
            main()
    except SystemExit as ended:
        ends[words] = [ended.code or 0, "torch" in sys.modules, said.getvalue()]
print(json.dumps(ends))
"""


def test_reading_loads_no_torch(finished_copy: Path):
    """After each command that reads, and after each mistake, torch is still not imported."""
    words = json.dumps([*READING, *MISTAKES])
    printed = subprocess.check_output(
        [sys.executable, "-c", WATCH, words], cwd=finished_copy, text=True
    )
    ends = json.loads(printed)
    assert [command for command, (_, has_torch, _) in ends.items() if has_torch] == []
    codes = {command: code for command, (code, *_) in ends.items()}
    assert {command: codes[command] for command in READING} == dict.fromkeys(READING, 0), ends
    assert all(codes[command] for command in MISTAKES), codes


def test_the_help_of_the_program_reads_what_commands_say():
    """Summaries are read from the sources of commands, and are those that the commands have themselves."""
    for name, command in blade_tune.commands.items():
        read = click.Command(name, help=blade_tune.commands.description(name))
        assert read.get_short_help_str(80) == command.get_short_help_str(80)

"""Captures what commands print in a terminal of 80 and of 120 columns, as text: docs/captures/NAME-WIDTH.txt.

    python docs/captures.py after                        # of this checkout, about three minutes on one core
    python docs/captures.py before --package OLD --work DIR     # of another one; DIR keeps the studies
    python docs/captures.py after --work DIR             # the same studies again

The studies are small: the demo, four epochs a trial. Colors are left out, and so is what differs from one run to the
next: the folder of the studies, times, hosts and hashes.
"""

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

ROOT = Path(__file__).parents[1]
CAPTURES = ROOT / "docs" / "captures"
WIDTHS = (80, 120)
LINES = 500  # of the terminal, so that nothing is paged
CONFIRM = "confirm --study demo --top 2 --seeds 3"
COMPARE = "compare --study demo --models blade,item_knn --trials 4 --epochs 4 --top 1 --seeds 2"
MADE = ("run --study demo --trials 6 --epochs 4 -q", f"{CONFIRM} -q", f"{COMPARE} -q")
SHOWN = (
    "run --help",
    "run --study demo --trials 6 --epochs 4",
    "status --study demo",
    "trials --study demo",
    CONFIRM,
    "ablate --study demo -q",
    "sweep --study demo --param model.lambda_ --values 0.01,1 -q",
    f"{COMPARE} -q",
    "power --study demo --difference 0.01",
    "export-best --study demo -q",
    "ledger --study demo",
    "report --study demo",
)
# What moves the cursor or erases a line, and styles
MARKS = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?\d+[hl]|\x1b\[[\d;]*m|\r|\n")
# What differs from run to run -> what stands for it, as long where a table has it
CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "2026-01-01T00:00:00Z"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "0123456789abcdef" * 4),
)


def run(words: str, folder: Path, package: Path, width: int = 80) -> str:
    """Run a command in a terminal of a width, and return what it has printed there, without colors."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, width, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    env = {
        **inherited,
        "PYTHONPATH": str(package),
        "TERM": "xterm-256color",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(  # noqa: S603 - words of ours
        [sys.executable, "-m", "blade_tune", *words.split()],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    printed = b""
    while part := _read(leader):
        printed += part
    os.close(leader)
    code = process.wait()
    text = shown(printed.decode(), width).replace("python -m ", "")
    if code:
        raise SystemExit(f"blade-tune {words} ended with {code}:\n{text}")
    for changing, same in CHANGING:
        text = changing.sub(same, text)
    return text.replace(str(folder), "~")


def _read(leader: int) -> bytes:
    """Return what a terminal shows next; empty once its last program has ended."""
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux's end of a file here
        return b""


def shown(printed: str, width: int) -> str:
    """Return the lines that a terminal shows in the end, where a live view has drawn itself again and again.

    Lines that are longer than the terminal is wide go on in the next, as they do there.
    """
    lines, row = [""], 0
    place = 0
    for mark in MARKS.finditer(printed):
        lines[row] += printed[place : mark.start()]
        place = mark.end()
        if mark[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif mark[0] == "\r" and printed[place : place + 1] != "\n":
            lines[row] = ""
        elif mark[2] == "A":
            row = max(0, row - int(mark[1] or 1))
        elif mark[2] == "K":
            lines[row] = ""
    lines[row] += printed[place:]
    return "\n".join(wrapped(line.rstrip(), width) for line in lines)


def wrapped(line: str, width: int) -> str:
    """Return a line as a terminal breaks it."""
    return "\n".join(line[place : place + width] for place in range(0, len(line) or 1, width))


def capture(name: str, folder: Path, package: Path) -> None:
    """Make the studies where they are not there, and write a file for each width."""
    CAPTURES.mkdir(exist_ok=True)
    for words in MADE:
        run(words, folder, package)
    for width in WIDTHS:
        texts = [f"$ blade-tune {words}\n{run(words, folder, package, width)}" for words in SHOWN]
        (CAPTURES / f"{name}-{width}.txt").write_text("\n".join(texts), encoding="utf-8")


def main() -> None:
    """Capture what the options say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="of the files: NAME-80.txt, NAME-120.txt")
    parser.add_argument("--package", type=Path, default=ROOT, metavar="DIR")
    parser.add_argument("--work", type=Path, metavar="DIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        capture(options.name, folder, options.package.resolve())


if __name__ == "__main__":
    main()

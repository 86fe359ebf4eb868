"""Progress on stderr: plain lines in a pipe, a live view in a terminal, nothing where it is not wanted."""

import fcntl
import io
import logging
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from blade_tune.cli.live_progress import LiveProgress
from blade_tune.cli.program import StderrHandler
from blade_tune.trial.callback import StudySummary
from tests.cli.program import (
    PROGRAM,
    call,
    environment,
    finish,
    start,
    with_faults,
    write_study,
)

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_in_a_pipe_progress_is_plain_lines(tmp_path):
    """A run in a process of its own prints key=value lines on stderr, no control character, and nothing on stdout."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 2})
    ended = finish(start("run", "--study", "tiny", cwd=tmp_path))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.replace("\n", "").isprintable()
    lines = ended.err.splitlines()
    assert lines[0] == "study=tiny scored=0/2 max_epochs=2"
    figures = r"popularity=0\.\d{4} popularity_told=0\.\d{4} item_knn=0\.\d{4}"
    assert re.fullmatch(rf"untuned valid_ndcg@10: {figures}", lines[1])
    for number in (0, 1):
        assert re.match(rf"trial={number} started .*\balpha=\d", lines[2 + 2 * number])
        assert re.match(
            rf"trial={number} complete value=0\.\d+ best=0\.\d+ .* scored={number + 1}/2",
            lines[3 + 2 * number],
        )
    assert re.match(r"best_trial=\d (not )?above item_knn: ", lines[6])
    *warnings, last, following = lines[7:]
    assert all(" is BELOW untuned " in warning for warning in warnings)
    assert last == "study=tiny ended: 2 of 2 trials are scored"
    assert following == "Next: blade-tune confirm --study tiny --top 3 --seeds 3"


def test_quiet_says_nothing(tmp_path):
    """With -q a run and an export that go well leave nothing but warnings on stderr."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 1})
    ended = call("run", "--study", "tiny", "-q", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = call("export-best", "--study", "tiny", "--rule", "best", "-q", cwd=tmp_path)
    assert ended.code == 0
    assert all(line.startswith("WARNING ") for line in ended.err.splitlines())


def test_a_terminal_shows_a_live_view(tmp_path):
    """In a terminal: trials done of their total, epochs done of theirs, and the best so far with its parameters."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    slowly = with_faults(epoch_s=1.2)  # the view moves four times a second
    # A run looks at the database four times in a grace period
    words = ("run", "--study", "tiny", "--heartbeat-s", "0.5", "--grace-s", "4")
    code, shown = run_in_terminal(*words, cwd=tmp_path, env=slowly)
    assert code == 0
    assert "\x1b[" in shown
    text = ESCAPE.sub("", shown)
    assert re.search(
        r"untuned, valid ndcg@10: popularity=0\.\d{4} popularity_told=0\.\d{4} item_knn=0\.\d{4}",
        text,
    )
    assert re.search(r"tiny\s+\S+\s+2/3 trials \d:\d\d:\d\d .*/h, about \d+ s left", text)
    assert re.search(r"tiny\s+\S+\s+0/3 trials \d:\d\d:\d\d .*/h, at most \d+ s left", text)
    assert "tiny: 3/3 trials" in text
    assert re.search(r"trial 0\s+\S+\s+1/2\s+epochs\s+ndcg@10 0\.\d{4}, best 0\.\d{4}", text)
    assert re.search(r"best: trial \d, ndcg@10 0\.\d{4}, alpha=", text)
    assert re.search(r"trial 2 complete ndcg@10 0\.\d{4}", text)
    assert "3 of 3 trials are scored" in text


def test_the_live_view_takes_any_message():
    """A failed trial's message is shown as it is, whatever brackets it has."""
    shown = io.StringIO()
    view = LiveProgress(Console(file=shown, width=120))
    view.trial_ended(
        0, "fail (error: [/b] is no [red]tag)", None, StudySummary("tiny", "ndcg@10", 0, 3)
    )
    assert "trial 0 fail (error: [/b] is no [red]tag)" in shown.getvalue()


def test_warnings_go_where_stderr_is_now():
    """A warning goes through stderr as it stands, so that a live view keeps it above itself."""
    handler = StderrHandler()
    with redirect_stderr(io.StringIO()) as shown:
        handler.handle(logging.makeLogRecord({"msg": "trial=3 reason=nan"}))
    assert shown.getvalue() == "trial=3 reason=nan\n"


def test_ctrl_c_leaves_lines_and_no_bar(tmp_path):
    """After an interruption the terminal has what happened and how far the study is, and nothing of the view."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    slowly = with_faults(epoch_s=1.0)
    words = ("run", "--study", "tiny", "--workers", "1")
    code, drawn = run_in_terminal(*words, cwd=tmp_path, env=slowly, until="1/2")
    lines = screen(drawn).splitlines()
    assert code == 130
    assert not re.search("[━╸╺]", "".join(lines))
    assert lines[-3].startswith("trial 0 fail (interrupted: stopped after epoch ")
    assert lines[-2:] == [
        "tiny: 0/3 trials",
        "Error: stopped; run the same command again to go on from here.",
    ]
    assert "WARNING signal=SIGINT stopping after this epoch; a second one stops now" in lines


def screen(drawn: str) -> str:
    """What a terminal shows in the end, where a view has erased itself line by line and was drawn again."""
    lines, row, place = [""], 0, 0
    for mark in re.finditer(r"\x1b\[(\d*)([A-Za-z])|\x1b\[[?\d;]*[A-Za-z]|\r|\n", drawn):
        lines[row] += drawn[place : mark.start()]
        place = mark.end()
        if mark[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif mark[2] == "A":
            row -= int(mark[1] or 1)
        elif mark[2] == "K":
            lines[row] = ""
    lines[row] += drawn[place:]
    return "\n".join(lines)


def run_in_terminal(
    *words: str, cwd: Path, until: str | None = None, **options: Any
) -> tuple[int, str]:
    """Run the program with stderr on a pseudo-terminal of 160 columns; gives its exit code and all that it drew.

    It is interrupted once it has drawn `until`.
    """
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    process = start(*words, cwd=cwd, stderr=terminal, **options)
    os.close(terminal)
    drawn = b""
    try:
        while chunk := os.read(reader, 65536):
            drawn += chunk
            if until and until in ESCAPE.sub("", drawn.decode(errors="replace")):
                process.send_signal(signal.SIGINT)
                until = None
    except OSError:  # the last process that held the terminal has closed it
        pass
    os.close(reader)
    return finish(process).code, drawn.decode()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_traceback(tmp_path, closed):
    """A run whose standard streams are closed scores its trials, and nothing that it prints goes into its files."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 1})
    words = f'exec "{PROGRAM}" run --study tiny {closed}'
    ended = subprocess.run(
        ["sh", "-c", words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert (
        call("status", "--study", "tiny", "-f", "json", cwd=tmp_path).out.count('"complete": 1')
        == 1
    )
    assert not any(
        b"study=tiny scored" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


def test_a_ctrl_c_while_modules_are_imported_is_no_traceback(tmp_path):
    """Whenever it comes once the program has begun: exit code 130, and not a word."""
    for wait_s in (0.05, 0.2, 0.4):
        process = start("status", "--study", "tiny", cwd=tmp_path)
        until_begun(process)
        time.sleep(wait_s)
        process.send_signal(signal.SIGINT)
        ended = finish(process)
        assert ended.code in (130, 4), ended  # 4 where it was faster
        assert "Traceback" not in ended.err


def until_begun(process: subprocess.Popen[str]) -> None:
    """Wait until a process handles signals itself: Python's own start is not ours."""
    status = Path(f"/proc/{process.pid}/status")
    caught = 0
    while process.poll() is None and not caught >> (signal.SIGTERM - 1) & 1:
        time.sleep(0.01)
        [line] = re.findall(r"SigCgt:\s*(\w+)", status.read_text())
        caught = int(line, 16)


def test_escapes_of_a_tag_do_not_reach_the_terminal(tmp_path):
    """A tag of a study file is shown with its escapes written out."""
    enqueue = [{"model": {"alpha": 0.5}, "tag": "a\x1b[2Jb"}]
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 1}, enqueue=enqueue)
    assert call("run", "--study", "tiny", "-q", cwd=tmp_path).code == 0
    shown = call("trials", "--study", "tiny", cwd=tmp_path).out
    assert "a\\x1b[2Jb" in shown
    assert "\x1b" not in shown

"""Stopping a run from outside."""

import json
import signal
from pathlib import Path

from tests.cli.program import Ended, call, finish, read_until, start, write_study

TRIALS = 2


def stop_in_training(cwd: Path, number: signal.Signals) -> Ended:
    """Start a run, send the signal once a trial has started, and wait for the end."""
    process = start("run", "--study", "tiny", cwd=cwd)
    read = read_until(process, " started ")
    process.send_signal(number)
    ended = finish(process)
    return Ended(ended.code, ended.out, read + ended.err)


def test_a_stopped_study_is_finished_by_the_same_command(tmp_path):
    """SIGTERM ends a run in 75 and Ctrl-C in 130, each with the way on; the third run ends at the exact total.

    What was stopped is shown apart: it is neither a failure nor charged to the budget.
    """
    train = {"max_epochs": 60, "eval_every": 30}
    write_study(tmp_path / "studies" / "tiny.yaml", train=train, search={"trials": TRIALS})
    for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
        ended = stop_in_training(tmp_path, number)
        assert (ended.code, ended.out) == (code, "")
        assert f"signal={number.name} stopping after this epoch" in ended.err
        assert ended.err.endswith(
            "Error: stopped; run the same command again to go on from here.\n"
        )
        assert "Traceback" not in ended.err
    waiting = status(tmp_path)
    assert (
        waiting["scored"] < TRIALS,
        waiting["trials"]["waiting"],
        waiting["trials"]["running"],
    ) == (True, 1, 0)

    assert call("run", "--study", "tiny", "-q", cwd=tmp_path).code == 0
    done = status(tmp_path)
    assert done["scored"] == TRIALS
    assert done["trials"] == {
        **dict.fromkeys(done["trials"], 0),
        "complete": TRIALS,
        "continued": 2,
    }


def status(cwd: Path) -> dict:
    return json.loads(call("status", "--study", "tiny", "-f", "json", cwd=cwd).out)

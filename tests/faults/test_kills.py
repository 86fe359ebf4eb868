"""kill -9, again and again: nothing is lost, nothing is counted twice, no process is left."""

import contextlib
import random
import subprocess
import time

import psutil
import pytest

from tests.faults.fleet import TIMEOUT_S, Fleet, until

TRIALS, EPOCHS = 24, 4
EVERY_S = 0.6  # a kill, on average
WORDS = ("--workers", "6", "--heartbeat-s", "0.5", "--grace-s", "4")


def kill_workers(fleet: Fleet, run: subprocess.Popen[str], kills: int, dice: random.Random) -> None:
    """Once a run trains, kill so many of its workers, at random moments; less where it ends before."""
    until(lambda: " started " in fleet.said or run.poll() is not None)
    while kills and run.poll() is None:
        time.sleep(dice.expovariate(1 / EVERY_S))
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end by itself in this moment
            if victims := fleet.workers():
                dice.choice(victims).kill()
                kills -= 1


@pytest.mark.slow
def test_kills_neither_lose_nor_add_a_trial(any_fleet: Fleet):
    """Whatever is killed, workers or supervisor, the same command ends with exactly the trials that were asked for.

    Each is whole, no row runs, no slot is held; once more it does nothing.
    """
    fleet, dice = any_fleet, random.Random(3)  # noqa: S311 - no secret
    fleet.define(TRIALS, EPOCHS)
    run = fleet.start(*WORDS, epoch_s=0.25)
    kill_workers(fleet, run, 5, dice)
    run.kill()
    run.wait()
    again = fleet.start(*WORDS, epoch_s=0.25)  # while workers of the first may still be at it
    kill_workers(fleet, again, 5, dice)
    assert again.wait(TIMEOUT_S) == 0, fleet.said
    trials = fleet.require_whole(TRIALS, EPOCHS)
    assert len(trials) > TRIALS
    assert "killed by SIGKILL" in fleet.said
    assert "Traceback" not in fleet.said
    assert fleet.run(*WORDS) == 0
    assert len(fleet.stored.trials) == len(trials)
    until(lambda: not fleet.processes())

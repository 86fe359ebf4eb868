"""`power` on the command line: from stored noise, from given noise, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.program import call, do


@pytest.fixture
def confirmed(finished: Path, tmp_path: Path) -> Path:
    """A study with two confirmed candidates."""
    folder = shutil.copytree(finished, tmp_path / "copy")
    do(folder, "confirm -s tiny --top 2 --seeds 2 -q")
    return folder


def test_stored_noise_plans_a_comparison(confirmed: Path):
    """Users, pairs and noise are those of the confirmed candidates; flags say otherwise."""
    said = json.loads(do(confirmed, "power -s tiny --seeds 3 -f json").out)
    assert said["noise_of"].startswith("trial ")
    assert (said["seeds"], said["pairs"], said["chance"]) == (3, 1, 0.8)
    more = json.loads(do(confirmed, "power -s tiny --seeds 3 --pairs 36 -f json").out)
    assert more["users"] == said["users"]
    assert more["smallest_difference"] > said["smallest_difference"] > 0


def test_a_difference_is_held_against_given_noise(tmp_path: Path):
    """Without a study; how often it is found, and how many seeds it needs or that no number is enough."""
    words = "power --users 4850 --pairs 8 --difference 0.004 -f json"
    said = json.loads(do(tmp_path, words).out)
    assert said["power"] == pytest.approx(0.4, abs=0.05)
    assert said["seeds_needed"] == "more than 200"
    few = json.loads(do(tmp_path, words.replace("0.004", "0.008")).out)
    assert 1 < few["seeds_needed"] < 20


def test_noise_must_come_from_somewhere(finished: Path, tmp_path: Path):
    """Neither study nor users, or a study without runs, are errors with the way out."""
    ended = call("power", cwd=tmp_path)
    assert ended.code == 2
    assert "give --study, or --users" in ended.err
    ended = call("power", "-s", "tiny", cwd=finished)
    assert ended.code == 2
    assert "blade-tune confirm --study tiny --top 2" in ended.err

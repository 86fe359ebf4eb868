"""A combination of the finished study with fitted ones: its commands, and what is read of it."""

import json
from pathlib import Path

from blade_tune.config import read_yaml
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.cli.program import Ended, call, do

COMBINATION = "run --study tiny --model combination"
MEMBERS = "tiny-item_knn,tiny-ials:1,tiny"
SAME = f"{COMBINATION} --members {MEMBERS}"
NAME = "tiny-combination"
TRIALS = 3


def load(folder: Path, study: str) -> StoredStudy:
    results = folder / "results"
    return Workspace.at(None, results).study(study)


def is_stored(folder: Path, study: str = NAME) -> bool:
    names = [known.study_name for known in load(folder, "tiny").storage.get_all_studies()]
    return study in names or (folder / "results" / study).exists()


def best(folder: Path, study: str) -> int:
    """The number of a study's best trial."""
    return json.loads(do(folder, f"status -s {study} -f json").out)["best"]["number"]


def kept(folder: Path) -> list[tuple[str, int]]:
    """Study and trial of each member, as the stored combination has them."""
    content = read_yaml(folder / "results" / NAME / "study.yaml")
    return [(member["study"], member["trial"]) for member in content["members"]]


def copies(folder: Path) -> list[Path]:
    """The members' weights that belong to the combination."""
    return sorted((folder / "results" / NAME / "members").iterdir())


def anew(folder: Path, words: str) -> Ended:
    """Run a command under the folder's full path: weights that this process has read elsewhere are of no account."""
    return call(*words.split(), "--results", str(folder / "results"), cwd=folder)

"""Commands on a finished study whose files were cut, emptied, replaced or turned into folders."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blade_tune.config import write_yaml
from blade_tune.doctor.damaged_files import Damage, measured_damage
from blade_tune.export import checksums
from blade_tune.study import ownership
from blade_tune.study.stored import StoredStudy
from tests.cli.program import Ended, call
from tests.tiny import content, run, stored

COMMANDS = (
    ("status",),
    ("trials",),
    ("trials", "-f", "csv"),
    ("show", "0"),
    ("report",),
    ("run",),
    ("ledger",),
    ("export-best", "--rule", "best"),
    ("reproduce", "0"),
    ("data", "stats"),
    ("doctor",),
    ("doctor", "--fix"),
    ("status",),
)
NOT_OURS = ("studies.db", ".prepared", ".sealed", ".baselines.lock")  # other tests', and a lock


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(max(64, path.stat().st_size)))  # noqa: S311 - no secret


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "kept.txt").write_text("somebody's")


def flipped(path: Path) -> None:
    before = bytearray(path.read_bytes() or b"\0")
    before[len(before) // 2] ^= 1
    path.write_bytes(before)


DAMAGES = (cut, emptied, garbage, folder, flipped)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny study, run, exported and reported."""
    place = tmp_path_factory.mktemp("whole")
    (place / "studies").mkdir()
    (place / "studies" / "tiny.yaml").write_text(write_yaml(content()), encoding="utf-8")
    run(place / "results")
    for words in (("data", "xray"), ("export-best",), ("report",), ("run",)):
        assert call(*words, "--study", "tiny", cwd=place).code == 0
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "place")


def damageable(place: Path) -> list[Path]:
    """Every file of the results that is ours."""
    results = place / "results"
    files = (path for path in sorted(results.rglob("*")) if path.is_file())
    return [path for path in files if not str(path.relative_to(results)).startswith(NOT_OURS)]


def spoken(place: Path, *words: str) -> Ended:
    """A command on the study; any exception but ours fails the test."""
    ended = call(*words, "--study", "tiny", cwd=place)
    assert "Traceback" not in ended.err + ended.out
    return ended


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_no_command_ends_in_a_traceback(place: Path, damage: Callable[[Path], None]):
    """All files at once but the owner's name and the ledger, and then that: what is derived is made or left out."""
    ledger = place / "results" / "tiny" / "ledger.jsonl"
    for path in damageable(place):
        if path != ledger and path.name != ownership.FILE:
            damage(path)
    ended = {words: spoken(place, *words) for words in COMMANDS}
    for words in (("status",), ("trials",), ("show", "0"), ("ledger",)):
        assert ended[words].code == 0, ended[words].err
    for words, one in ended.items():
        assert one.code in (
            (0, 1, 2) if words[0] in ("doctor", "run", "report", "trials", "reproduce") else (0, 2)
        )
        assert one.code == 0 or "Error: " in one.err or words[0] == "doctor"
    damage(ledger)
    assert spoken(place, "ledger").code == 2
    assert spoken(place, "export-best", "--rule", "best", "--out", str(place / "other")).code == 2
    assert "the ledger" in spoken(place, "doctor").out.replace("\n", " ")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_doctor_finds_each_damaged_file(place: Path, damage: Callable[[Path], None]):
    """One file after the other: what is said names it, and of whole files nothing is said.

    But for files that nothing reads, of which nobody knows what they are to hold.
    """
    study = stored(place / "results")
    assert found(study) == []
    for path in damageable(place):
        # Whose damage is another study's name
        if not is_known(study, path) or path.name == ownership.FILE:
            continue
        before = path.read_bytes()
        damage(path)
        if path.is_file() and path.read_bytes() == before:  # an empty log
            continue
        said = found(study)
        assert any(str(path) in what or str(path.parent) in what for what in said), path
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(before)


def is_known(study: StoredStudy, path: Path) -> bool:
    """Whether anybody knows what a file is to hold."""
    if path.parent.name == "artifacts":
        name = f"artifacts/{path.name}"
        return any(name in study.files(trial).digests for trial in study.trials)
    return path.parent.name != "report" and path.name not in (
        "trials.csv",
        "epochs.csv",
        "train.log",
    )


def found(study: StoredStudy) -> list[str]:
    results = study.folder.results
    findings = (
        *Damage(study).findings(),
        *measured_damage(results, fix=False),
        *checksums.bundle_findings(results, "tiny"),
    )
    return [finding.what for finding in findings]


def test_the_doctor_makes_again_what_is_known_elsewhere(place: Path):
    """Study file, configurations, the dashboard's files, measurements and the ledger's last line are as they were."""
    results = place / "results"
    mended = [
        path
        for path in damageable(place)
        if path.name in ("study.yaml", "config.yaml", "ledger.jsonl")
    ]
    mended += [
        path
        for path in damageable(place)
        if path.parent.name == "artifacts" and is_known(stored(results), path)
    ]
    before = {path: path.read_bytes() for path in mended}
    assert len(mended) > 10
    for path in mended:
        cut(path)
    for path in (results / ".baselines").glob("*/contents.json"):
        garbage(path)
    assert spoken(place, "doctor").code == 1
    said = spoken(place, "doctor", "--fix")
    assert said.code == 0, said.out
    assert {path: path.read_bytes() for path in mended} == before
    assert found(stored(results)) == []


def test_reproduce_makes_ranks_and_weights_again(place: Path):
    """Damaged ones come back to the last bit, and what was written is said; whole ones are left alone."""
    files = stored(place / "results").folder.trial(0)
    before = [path.read_bytes() for path in (files.ranks, files.weights)]
    assert str(files.ranks.name) not in spoken(place, "reproduce", "0").out
    flipped(files.weights)
    files.ranks.unlink()
    said = spoken(place, "reproduce", "0", "-f", "json")
    assert [Path(path).name for path in json.loads(said.out)["written"]] == [
        "ranks.npy",
        "best.safetensors",
    ]
    assert [path.read_bytes() for path in (files.ranks, files.weights)] == before

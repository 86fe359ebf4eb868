"""The file of a bundle that torch alone runs: checked as the bundle is, recorded, made again, and used alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from blade_tune.errors import BladeTuneError, DataError
from blade_tune.export import checksums
from blade_tune.export.final import ExportOptions, export_best
from blade_tune.export.recommender import Recommender
from tests.blocks import words
from tests.export.splits import CPU, again, export, export_fitted, read, walks, write_newer
from tests.tiny import stored


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_newer(tmp_path_factory.mktemp("data") / "shop", walks())


@pytest.fixture(scope="module")
def programmed(split: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a program, of a model with a factor for each user."""
    return export(tmp_path_factory.mktemp("results"), split, options={"with_program": True})


def test_a_bundle_with_a_program_lists_and_checks_it(programmed: Path, tmp_path: Path) -> None:
    """It is under the checksums, recorded in provenance.json, and a change of it is noticed; others have none."""
    assert set(read(programmed, checksums.FILE)["files"]) == {
        *checksums.FILES,
        checksums.PROGRAM,
    }
    facts = read(programmed, "provenance.json")["program"]
    assert facts == {
        "file": "program.pt2",
        "max_length": 6,
        "torch": torch.__version__,
        "tolerance": 1e-5,
    }
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in programmed.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert checksums.verify(copy) == checksums.verify(programmed)
    content = bytearray((copy / "program.pt2").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "program.pt2").write_bytes(content)
    with pytest.raises(DataError, match=r"program.pt2: was changed"):
        Recommender.load(copy)
    (copy / "program.pt2").unlink()
    with pytest.raises(DataError, match=r"program.pt2: is missing"):
        Recommender.load(copy)


def test_without_the_option_there_is_none(bundle: Path) -> None:
    """Neither the file nor a reason."""
    assert not (bundle / "program.pt2").exists()
    assert read(bundle, "provenance.json")["program"] is None


def test_a_model_that_allows_none_has_its_reason_in_the_bundle(
    split: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The bundle is whole, provenance.json says why, and a warning too."""
    export_fitted(tmp_path, split)
    caplog.clear()
    options = ExportOptions(tmp_path / "asked", CPU, with_program=True)
    export_best(stored(tmp_path), options)
    facts = read(tmp_path / "asked", "provenance.json")["program"]
    assert facts["file"] is None
    assert facts["reason"].startswith("torch.export: ")
    assert "the model allows no program.pt2" in caplog.text
    Recommender.load(tmp_path / "asked")


def test_a_program_that_scores_otherwise_is_not_exported(
    programmed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written where the file, read back, differs; the bundle of before stays."""

    def other(*_: Any, **__: Any) -> Any:
        program = torch.nn.Module()
        monkeypatch.setattr(
            program, "module", lambda: lambda users, *_: torch.zeros(len(users), 1), raising=False
        )
        return program

    monkeypatch.setattr(torch.export, "load", other)
    results = programmed.parent
    with pytest.raises(BladeTuneError, match="Export without --with-program"):
        export_best(stored(results), ExportOptions(tmp_path / "out", CPU, with_program=True))
    assert list(tmp_path.iterdir()) == []


def test_a_retrained_bundle_has_a_program_if_the_one_before_had(
    programmed: Path, split: Path, tmp_path: Path
) -> None:
    """Whoever runs it finds it in the next bundle too."""
    again(programmed, split, tmp_path / "next")
    assert (tmp_path / "next" / "program.pt2").is_file()
    assert read(tmp_path / "next", "provenance.json")["program"]["file"] == "program.pt2"


def test_the_pages_words_run_without_this_package(programmed: Path, tmp_path: Path) -> None:
    """The block of docs/bundles.md, word for word, gives the scores of the Recommender, and imports no blade_tune."""
    block = words("docs/bundles.md", "program")
    place = tmp_path / "results" / "shop"
    place.mkdir(parents=True)
    (place / "best").symlink_to(programmed)
    catalog = Recommender.load(programmed).model.catalog
    item, other = Recommender.load(programmed).items[:2]
    block = block.replace('"i1"', repr(item)).replace('"i2"', repr(other))
    block += "\nimport json, sys\nassert not [m for m in sys.modules if m.startswith('blade_tune')]"
    block += "\nprint(json.dumps(best))"
    shown = subprocess.run(
        [sys.executable, "-I", "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert {"view", "cart", "buy"} <= set(catalog.behaviors)
    history = [(item, ["view"]), (other, ["view", "cart"])]
    expected = Recommender.load(programmed).recommend(
        {"stranger": history}, ["buy"], 10, include_seen=True
    )
    found = json.loads(shown.stdout)
    assert [name for name, _ in found] == [name for name, _ in expected["stranger"]]
    assert [s for _, s in found] == pytest.approx([s for _, s in expected["stranger"]], abs=1e-5)

"""The command `retrain`, from the words of docs/retraining.md to what kills and combinations leave."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest

from blade_tune.data.sources.base import open_source
from blade_tune.data.sources.split_files import FILES
from blade_tune.export import checksums
from tests.blocks import blocks, words
from tests.cli.combined import NAME, load
from tests.cli.program import call, do, finish, read_until, start
from tests.export.splits import changed, read
from tests.shell import type_in


@pytest.mark.slow
def test_the_pages_walk_from_cron_to_ledger(tmp_path: Path) -> None:
    """Every command does its part: the script trains the next bundle, which is better, and moves the link to it."""
    (tmp_path / "weekly.sh").write_text(words("docs/retraining.md", "weekly script"))
    for block in blocks("docs/retraining.md", "retraining"):
        ended = type_in(block.words, tmp_path)
    bundles = tmp_path / "bundles"
    assert (tmp_path / "recommendations.csv").stat().st_size > 1000
    new = [path for path in bundles.iterdir() if path.is_dir() and not path.is_symlink()]
    [following] = [path for path in new if path.name != "first"]
    assert (bundles / "current").resolve() == following
    [before] = read(following, "provenance.json")["history"]
    assert before["digest"] == checksums.verify(bundles / "first")
    assert "evaluated 1 times; the ledger is whole" in ended.stdout


@pytest.fixture
def exported(finished_copy: Path) -> Path:
    """The finished study's bundle, and a split of the same rows."""
    do(finished_copy, "export-best --study tiny --out bundles/first -q -f json")
    write_same(finished_copy, "tiny")
    return finished_copy


def write_same(folder: Path, study: str) -> None:
    """Write the rows of a study's made-up data as a split, in the folder `split`."""
    source = open_source(load(folder, study).definition.data, None)
    (folder / "split").mkdir()
    train, valid = source.search()
    between, test = source.sealed()
    parts = {"train": train, "valid": valid, "between": between, "test": test}
    for part, rows in parts.items():
        lines = [
            f"{user},{item},{','.join(map(str, row))}\n"
            for user, item, row in zip(rows.users_N, rows.items_N, rows.sets_NK, strict=True)
        ]
        (folder / "split" / FILES[part]).write_text("".join(lines))


RETRAIN = "retrain --bundle bundles/first --data split --out bundles/next"


def test_what_the_command_says(exported: Path) -> None:
    """Without --if-better a bundle is written; with it exit code 6 says that there is none; -q says warnings alone."""
    ended = call(*f"{RETRAIN} --if-better -f json".split(), cwd=exported)
    facts = json.loads(ended.out)
    assert (ended.code, facts["bundle"], facts["outcome"]) == (6, None, "undecided")
    assert ended.err.splitlines()[-1] == (
        "Error: the new model is not better beyond chance, +0.0000 (+0.0000 to +0.0000): no bundle is written, and "
        "bundles/first stays the one to use."
    )
    assert "untuned popularity" in ended.err
    assert not (exported / "bundles" / "next").exists()

    ended = call(*f"{RETRAIN} -f json -q".split(), cwd=exported)
    assert (ended.code, json.loads(ended.out)["bundle"]) == (0, "bundles/next")
    assert all(line.startswith("WARNING") for line in ended.err.splitlines())
    assert "the rows are those that the old model was trained on" in ended.err
    rows = json.loads(do(exported, "ledger --bundles bundles -f json").out)
    assert [(row["line"], row["out"], row["command"]) for row in rows] == [(1, "next", "retrain")]
    assert "evaluated 1 times; the ledger is whole" in do(exported, "ledger --bundles bundles").out


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("retrain --bundle bundles/first --out next", "needs the newer rows: one of --data and --source."),
        ("retrain --bundle bundles/first --data a --source b --out next", "one of --data and --source."),
        ("retrain --bundle studies --data split --out next", "must be a bundle that export-best wrote"),
        ("ledger", "needs one of --study and --bundles."),
        ("ledger --study tiny --bundles bundles", "needs one of --study and --bundles."),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(finished: Path, command: str, told: str) -> None:
    """Code 2, one message, nothing on stdout."""
    ended = call(*command.split(), cwd=finished)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert told in ended.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGKILL, -9)]
)
def test_a_stop_leaves_the_old_bundle_and_no_half(
    exported: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C, SIGTERM and a kill while it trains: their codes, no new bundle, the old one whole."""
    bundle = exported / "bundles" / "first"
    changed(bundle, "provenance.json", lambda facts: facts.update(epochs=100_000))
    before = checksums.verify(bundle)
    process = start(*RETRAIN.split(), cwd=exported)
    read_until(process, "training blade")
    process.send_signal(number)
    ended = finish(process)
    assert (ended.code, ended.out) == (code, "")
    assert "Traceback" not in ended.err
    assert checksums.verify(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["first"]


def test_a_combination_is_fitted_member_by_member(combined_copy: Path) -> None:
    """On equal rows each member, the seeded and the neural one too, and so their sum, is equal to the bit."""
    do(combined_copy, f"export-best -s {NAME} --out bundles/first -q -f json")
    write_same(combined_copy, NAME)
    do(combined_copy, f"{RETRAIN} -f json -q")
    old, new = (combined_copy / "bundles" / name for name in ("first", "next"))
    for name in ("weights.safetensors", "best.yaml", "ranks.npy"):
        assert (new / name).read_bytes() == (old / name).read_bytes()

    # A bundle that does not know how its members were trained
    def forget(facts: dict[str, object]) -> None:
        del facts["member_trainings"]

    changed(old, "provenance.json", forget)
    shutil.rmtree(new)
    ended = call(*RETRAIN.split(), cwd=combined_copy)
    assert ended.code == 2
    assert re.search(
        r"must say how its member tiny-ials:1 was trained.*run tiny-ials and the com", ended.err
    )
    assert not new.exists()

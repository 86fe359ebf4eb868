"""Prepared and sealed stores are checked against their checksums: damage is noticed or without effect."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blade_tune.data import folder
from blade_tune.data.sealed import Ledger, open_for_evaluation
from blade_tune.data.store import prepare
from blade_tune.errors import DataError
from tests.data.examples import TINY, config, write_split

DAMAGES = 500  # of each store
Files = dict[Path, bytes]
Read = Callable[[], Any]


def contents(path: Path) -> Any:
    """All that a store says, its arrays as bytes."""
    arrays, facts = folder.read(path, anew=True)
    return {
        name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()
    }, facts


@pytest.fixture(params=["prepared", "sealed"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Read, Read, Files]:
    """How a store is opened and how all of it is read, and the files of it and of others that could be taken for it."""
    ledger, results = Ledger(tmp_path / "ledger.jsonl"), tmp_path / "results"
    other = write_split(
        tmp_path / "other", train=[*TINY["train"], "3,10,1,0,0,0"], test=["3,7,0,0,1,0"]
    )
    files = write_split(tmp_path / "files")
    open_for_evaluation(prepare(config(), other, results), other, ledger, {})
    search = prepare(config(), files, results)
    open_for_evaluation(search, files, ledger, {})

    def opened() -> Any:
        search = prepare(config(), files, results)
        if request.param == "sealed":
            (tmp_path / "another.jsonl").unlink(missing_ok=True)
            return open_for_evaluation(
                search, files, Ledger(tmp_path / "another.jsonl"), {}
            ).data_hash
        return search.data_hash

    kinds = {
        name: [path for path in (results / name).iterdir() if path.is_dir()]
        for name in (".prepared", ".sealed")
    }
    mine = search.path
    if request.param == "sealed":
        (mine,) = (
            path
            for path in kinds[".sealed"]
            if len(np.load(path / "test_users.npy")) == len(TINY["test"]) - 1
        )
    kept = {
        file: file.read_bytes()
        for paths in kinds.values()
        for path in paths
        for file in path.iterdir()
    }
    first = {file: raw for file, raw in kept.items() if file.parent == mine}
    return opened, lambda: contents(mine), first | kept


def damage(draw: random.Random, kept: Files) -> dict[Path, bytes | None]:
    """Files of the first store as damage leaves them; None is removed."""
    mine = [file for file in kept if file.parent == next(iter(kept)).parent]
    file, kind = (
        draw.choice(mine),
        draw.choice(["flip", "flip", "cut", "swap", "swap in", "swap all", "remove", "roll"]),
    )
    raw = bytearray(kept[file])
    if kind == "flip":
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        raw = raw[: draw.randrange(len(raw))]
    elif kind == "roll":
        raw = raw[:128] + raw[-1:] + raw[128:-1]
    elif kind == "swap":
        other = draw.choice(mine)
        return {file: kept[other], other: kept[file]}
    elif kind == "swap in":
        raw = bytearray(kept[draw.choice([other for other in kept if other.name == file.name])])
    elif kind == "swap all":
        place = draw.choice([other.parent for other in kept])
        return {file: kept.get(place / file.name) for file in mine}
    return {file: None if kind == "remove" else bytes(raw)}


def test_random_damage_is_noticed_or_without_effect(stores: tuple[Read, Read, Files]) -> None:
    """Flipped bits, cut, swapped, rolled and removed files: an error, or exactly the rows of before; never others."""
    opened, everything, kept = stores
    whole, draw, noticed = (opened(), everything()), random.Random(2026), 0  # noqa: S311
    for _ in range(DAMAGES):
        damaged = damage(draw, kept)
        for file, raw in damaged.items():
            file.unlink() if raw is None else file.write_bytes(raw)
        folder._checked.clear()  # as a process that starts now
        try:
            assert (opened(), everything()) == whole
        except DataError:
            noticed += 1
        for file in damaged:
            file.write_bytes(kept[file])
    assert noticed > DAMAGES // 2
    assert (opened(), everything()) == whole


def test_a_process_checks_a_prepared_store_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again where a file has another size or time."""
    files, checked = write_split(tmp_path / "files"), []
    path = prepare(config(), files, tmp_path).path
    folder._checked.clear()
    monkeypatch.setattr(folder, "_check", lambda path, _: checked.append(path))
    for _ in range(3):
        prepare(config(), files, tmp_path)
    assert checked == [path]
    os.utime(path / "train_items.npy", ns=(1, 1))
    prepare(config(), files, tmp_path)
    assert checked == [path, path]


def test_sealed_rows_are_checked_each_time(tmp_path: Path) -> None:
    """Rolled test items of the same size and time, in the middle of a process: an error, no figure."""
    files = write_split(tmp_path / "files", test=["3,10,0,1,0,0", "8,20,0,1,0,0"])
    search, ledger = prepare(config(), files, tmp_path), Ledger(tmp_path / "ledger.jsonl")
    open_for_evaluation(search, files, ledger, {})
    (file,) = (tmp_path / ".sealed").glob("*/test_items.npy")
    before = file.stat()
    np.save(file, np.roll(np.load(file), 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(
        DataError, match=r"prepared data must be whole \(test_items\.npy was changed\)"
    ):
        open_for_evaluation(search, files, ledger, {})


def test_rows_with_checksums_made_to_match_are_noticed(tmp_path: Path) -> None:
    """Whoever changes sealed rows and their checksums has them refused by the hash that goes into the ledger."""
    files = write_split(tmp_path / "files")
    search, ledger = prepare(config(), files, tmp_path), Ledger(tmp_path / "ledger.jsonl")
    open_for_evaluation(search, files, ledger, {})
    (path,) = (tmp_path / ".sealed").iterdir()
    arrays, facts = folder.read(path)
    changed = {name: array.copy() for name, array in arrays.items()}
    changed["test_items"] += 1
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    folder.write(path, changed, facts)
    with pytest.raises(DataError, match="must hold the rows of hash"):
        open_for_evaluation(search, files, ledger, {})


def test_stores_of_before_are_built_again(tmp_path: Path) -> None:
    """One without checksums cannot be checked, so it is replaced by the same rows from their source."""
    files, ledger = write_split(tmp_path / "files"), Ledger(tmp_path / "ledger.jsonl")
    search = prepare(config(), files, tmp_path)
    open_for_evaluation(search, files, ledger, {})
    for path in (search.path, *(tmp_path / ".sealed").iterdir()):
        whole = (path / folder.CONTENTS).read_bytes()
        facts = folder.read(path)[1]
        names = [file.stem for file in path.glob("*.npy")]
        (path / folder.CONTENTS).write_text(folder.json.dumps({"arrays": names, "facts": facts}))
        (path / f"{names[0]}.npy").unlink()
        open_for_evaluation(prepare(config(), files, tmp_path), files, ledger, {})
        assert (path / folder.CONTENTS).read_bytes() == whole
    assert len(list(tmp_path.glob(".*/.*"))) == 0


def test_sealed_rows_are_their_owners(tmp_path: Path) -> None:
    """Nobody else reads them, whatever the umask; a folder that was open to everybody is closed."""
    files = write_split(tmp_path / "files")
    (tmp_path / ".sealed").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        open_for_evaluation(
            prepare(config(), files, tmp_path), files, Ledger(tmp_path / "ledger.jsonl"), {}
        )
    finally:
        os.umask(before)
    (store,) = (tmp_path / ".sealed").iterdir()
    modes = {path: path.stat().st_mode & 0o777 for path in (store.parent, store, *store.iterdir())}
    assert {modes.pop(path) for path in (store.parent, store)} == {0o700}
    assert set(modes.values()) == {0o600}

"""Prepared data: built once, whole, from train and valid alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from blade_tune.data import folder
from blade_tune.data.sequences import windows
from blade_tune.data.sources.split_files import FILES
from blade_tune.data.store import SearchData, prepare
from blade_tune.data.table import unmet_before
from blade_tune.errors import DataError
from tests.data.examples import SYNTHETIC, TINY, config, plain, whole, write_split


@pytest.fixture
def tiny(tmp_path: Path) -> SearchData:
    return prepare(config(), write_split(tmp_path / "files"), tmp_path)


def same(left: SearchData, right: SearchData) -> bool:
    """Whether two prepared data sets are the same to every reader."""
    pairs = [
        (whole(left.windows(phase, 3)), whole(right.windows(phase, 3)))
        for phase in ("train", "valid")
    ]
    tensors = [
        (getattr(a, name), getattr(b, name))
        for a, b in pairs
        for name in vars(a)
        if "negatives" not in name
    ]
    return left.data_hash == right.data_hash and all(torch.equal(a, b) for a, b in tensors)


def test_ids_are_numbered_on_train(tiny: SearchData) -> None:
    """Internal ids run from 1 in the order of raw ids; parts are sorted by user and keep time order."""
    assert tiny.user_ids_U.tolist() == [0, 3, 8]
    assert tiny.item_ids_V.tolist() == [0, 10, 20, 40]
    assert [(user, item) for user, item, _ in plain(tiny.train)] == [
        (1, 1),
        (1, 2),
        (2, 2),
        (2, 3),
        (2, 1),
    ]
    assert plain(tiny.valid) == [(1, 3, (0, 1, 0, 0)), (2, 2, (0, 0, 0, 1))]
    assert (tiny.num_users, tiny.num_items) == (2, 3)


def test_the_catalog_counts_train_rows(tiny: SearchData) -> None:
    """Counts are of train rows only; the diagonal of the pairs repeats them."""
    assert tiny.catalog.behaviors == ("click", "like", "share", "follow")
    assert tiny.catalog.behavior_counts_K.tolist() == [3, 2, 1, 0]
    assert tiny.catalog.pair_counts_KK[0].tolist() == [3, 1, 0, 0]
    assert (tiny.catalog.num_users, tiny.catalog.num_items, tiny.catalog.auxiliary) == (2, 3, (0,))


def test_valid_rows_are_targets_and_no_history(tiny: SearchData) -> None:
    """In phase valid the newest target is the valid row, and the keys still hold train alone."""
    assert whole(tiny.windows("train", 2)).target_items_BL.tolist() == [[0, 2], [3, 1]]
    assert whole(tiny.windows("valid", 2)).target_items_BL.tolist() == [[2, 3], [1, 2]]
    assert tiny.user_item_keys().tolist() == [5, 6, 9, 10, 11]


def test_arrays_are_mapped(tiny: SearchData) -> None:
    """Nothing is copied into memory by opening, and nothing can be changed by accident."""
    assert isinstance(tiny.train.items_N, np.memmap)
    assert (tiny.train.users_N.dtype, tiny.train.items_N.dtype, tiny.train.sets_NK.dtype) == (
        "i4",
        "i4",
        "u1",
    )
    with pytest.raises(ValueError, match="read-only"):
        tiny.train.items_N[0] = 1


def test_what_is_derived_is_its_slow_twin(tmp_path: Path) -> None:
    """Windows and counts that are mapped from disk equal those computed from the rows."""
    data = prepare(config(SYNTHETIC), None, tmp_path)
    for phase, parts in (("train", [data.train]), ("valid", [data.train, data.valid])):
        twin = windows(parts, data.num_users, 5)
        index_B = torch.randperm(data.num_users)[:40]
        mapped, computed = (vars(some.rows(index_B)) for some in (data.windows(phase, 5), twin))
        assert all(
            torch.equal(mapped[name], computed[name]) for name in mapped if "negatives" not in name
        )
        assert torch.equal(data.windows(phase, 5).lengths_U, twin.lengths_U)
    met = sorted({user * (data.num_items + 1) + item for user, item, _ in plain(data.train)})
    assert data.user_item_keys().tolist() == met
    assert data.unmet_before().tolist() == unmet_before(np.array(met), data.num_items).tolist()
    sets_NK = data.train.sets_NK.astype(int)
    assert data.catalog.pair_counts_KK.tolist() == (sets_NK.T @ sets_NK).tolist()


def test_what_is_derived_is_no_content(tiny: SearchData) -> None:
    """The hash that studies remember is of the rows alone, as it was before anything was derived from them."""
    assert tiny.data_hash == "4e9cd46c8797341793d578be14cc49255aa75d0703a75c409fcbf78611bf9c2a"


def test_tensors_are_mapped_copy_on_write(tiny: SearchData) -> None:
    """Writing to a tensor changes neither the file nor what others read."""
    keys_N = tiny.user_item_keys()
    keys_N[0] = 99
    assert tiny.user_item_keys().tolist() == [5, 6, 9, 10, 11]


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    """Empty sets, and users and items that train does not know, are left out and counted by part and reason."""
    directory = write_split(
        tmp_path / "files",
        train=[*TINY["train"], "3,99,0,0,0,0", "7,10,0,0,0,0"],
        valid=[*TINY["valid"], "7,10,1,1,0,0", "9,20,1,1,0,0", "3,10,0,0,0,0", "2,99,0,1,0,0"],
    )
    dropped = prepare(config(), directory, tmp_path).dropped
    assert {reason: count for reason, count in dropped.items() if count} == {
        "train_empty_set": 2,
        "valid_empty_set": 1,
        "valid_unseen_user": 3,
    }
    write_split(directory, valid=["3,99,0,1,0,0", "8,10,0,1,0,0"])
    assert prepare(config(), directory, tmp_path).dropped["valid_unseen_item"] == 1


@pytest.mark.parametrize(
    ("part", "lines"), [("train", ["3,10,0,0,0,0"]), ("valid", ["3,99,1,0,0,0", "4,10,1,0,0,0"])]
)
def test_nothing_left_is_an_error(tmp_path: Path, part: str, lines: list[str]) -> None:
    """Data without a train or a valid row cannot be searched on."""
    with pytest.raises(DataError, match=rf"^tiny: {part} must keep at least one row"):
        prepare(config(), write_split(tmp_path / "files", **{part: lines}), tmp_path)
    assert not list((tmp_path / ".prepared").glob("*"))


def test_line_ends_are_no_content(tmp_path: Path) -> None:
    """CRLF and LF files are different bytes and the same data."""
    data = [
        prepare(config(), write_split(tmp_path / name, newline=newline), tmp_path)
        for name, newline in (("lf", "\n"), ("crlf", "\r\n"))
    ]
    assert data[0].path != data[1].path
    assert same(*data)


def test_gaps_empty_sets_and_five_behaviors(tmp_path: Path) -> None:
    """As in KuaiSAR and QK-Article: rows without a behavior go, ids close up, five columns are five behaviors."""
    names = ["read", "like", "share", "favorite", "follow"]
    directory = write_split(
        tmp_path / "files",
        train=["1,5,1,0,0,0,1", "1,7,0,0,0,0,0", "2,7,0,0,0,0,0", "2,9,1,1,0,1,0", "1,9,0,0,1,0,0"],
        valid=["1,5,0,1,0,0,0", "2,7,0,1,0,0,0"],
    )
    data = prepare(config(behaviors=names, auxiliary="read", long_tail=[]), directory, tmp_path)
    assert data.item_ids_V.tolist() == [0, 5, 9]
    assert plain(data.train) == [
        (1, 1, (1, 0, 0, 0, 1)),
        (1, 2, (0, 0, 1, 0, 0)),
        (2, 2, (1, 1, 0, 1, 0)),
    ]
    assert data.catalog.num_behaviors == 5
    assert {reason: count for reason, count in data.dropped.items() if count} == {
        "train_empty_set": 2,
        "valid_unseen_item": 1,
    }


def test_the_hash_is_of_content_and_meaning(tiny: SearchData, tmp_path: Path) -> None:
    """Another row, another name of a column or another auxiliary behavior is other data; a new name is not."""
    files = tmp_path / "files"
    assert prepare(config(name="other", long_tail=[]), files, tmp_path).data_hash == tiny.data_hash
    others = [
        prepare(config(auxiliary="like"), files, tmp_path),
        prepare(config(behaviors=["click", "like", "follow", "share"]), files, tmp_path),
        prepare(config(), write_split(files, train=[*TINY["train"], "3,10,1,0,0,0"]), tmp_path),
    ]
    assert len({data.data_hash for data in [tiny, *others]}) == 4


@pytest.mark.parametrize("content", [b"garbage \xff\n", b"", None])
def test_test_rows_cannot_move_the_search(
    tiny: SearchData, tmp_path: Path, content: bytes | None
) -> None:
    """Garbage in the files of between and test, or none at all, changes nothing that a search sees."""
    for part in ("between", "test"):
        path = tmp_path / "files" / FILES[part]
        path.unlink() if content is None else path.write_bytes(content)
    again = prepare(config(), tmp_path / "files", tmp_path / "elsewhere")
    assert again.path.name == tiny.path.name
    assert same(again, tiny)


AUDITED = """
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from blade_tune.data.store import prepare
from tests.data.examples import config
data = prepare(config(), Path(sys.argv[1]), Path(sys.argv[2]))
data.windows("valid", 5), data.user_item_keys(), data.catalog
print([Path(name).name for name in opened if Path(name).parent == Path(sys.argv[1])])
"""
PREPARE = """
import sys
from pathlib import Path
from blade_tune.data.store import prepare
from tests.data.examples import SYNTHETIC, config
print(prepare(config(SYNTHETIC, num_users=3000), None, Path(sys.argv[1])).data_hash)
"""
REPOSITORY = Path(__file__).parents[2]


def start(program: str, *arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_prepare_opens_no_test_file(tmp_path: Path) -> None:
    """The operating system sees train and valid opened, and never between or test."""
    with start(AUDITED, write_split(tmp_path / "files"), tmp_path) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    assert set(json.loads(output.replace("'", '"'))) == {"train.txt", "valid.txt"}


def test_two_processes_may_prepare_at_once(tmp_path: Path) -> None:
    """Both get the same data, and one folder stays."""
    processes = [start(PREPARE, tmp_path) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1] != ""
    assert len(list((tmp_path / ".prepared").iterdir())) == 1


def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends a build midway, no half of it stays, and the next one succeeds."""
    save, saved = np.save, []

    def save_some(path: Path, array: np.ndarray) -> None:
        saved.append(path)
        if len(saved) == 3:
            raise KeyboardInterrupt
        save(path, array)

    monkeypatch.setattr(np, "save", save_some)
    with pytest.raises(KeyboardInterrupt):
        prepare(config(SYNTHETIC), None, tmp_path)
    assert not list((tmp_path / ".prepared").iterdir())
    assert len(prepare(config(SYNTHETIC), None, tmp_path).train)


def test_the_first_folder_stays(tmp_path: Path) -> None:
    """Where another process was faster, its folder is kept and ours is removed."""
    for value in (1, 2):
        folder.write(tmp_path / "store", {"numbers": np.array([value])}, {"value": value})
    arrays, facts = folder.read(tmp_path / "store")
    assert (arrays["numbers"].tolist(), facts) == ([1], {"value": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_leftovers_go_when_old(tmp_path: Path) -> None:
    """A temporary folder of a killed process goes with the next build a day later; a fresh one may be at work."""
    old, fresh = tmp_path / ".old.tmp", tmp_path / ".fresh.tmp"
    old.mkdir()
    fresh.mkdir()
    yesterday = time.time() - folder.LEFTOVER_AGE_S - 60
    os.utime(old, (yesterday, yesterday))
    folder.write(tmp_path / "store", {}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fresh.tmp", "store"]


def test_what_is_prepared_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second opening maps what the first one built."""
    first = prepare(config(SYNTHETIC), None, tmp_path)
    monkeypatch.setattr(folder, "write", None)
    assert same(first, prepare(config(SYNTHETIC), None, tmp_path))


@pytest.mark.parametrize("name", ["contents.json", "train_items.npy"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_folder_is_named(tiny: SearchData, tmp_path: Path, name: str, cut: bool) -> None:
    """A prepared file that was cut or removed is an error that says what to delete."""
    (tiny.path / name).unlink()
    if cut:
        (tiny.path / name).write_text("")
    with pytest.raises(
        DataError, match=r"prepared data must be whole .* delete this folder, it is built again"
    ):
        prepare(config(), tmp_path / "files", tmp_path)

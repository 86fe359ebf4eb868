"""Many processes that write one file or folder: what is there is always what one of them wrote, whole."""

from pathlib import Path

import pytest

from blade_tune.data import folder
from blade_tune.files import write_whole
from tests.crowd import PROCESSES, Crowd

ROUNDS = 20
SIZE = 200_000


def of(index: int, round_: int) -> bytes:
    return bytes([index * ROUNDS + round_]) * SIZE


def by_write_whole(path: Path, content: bytes) -> None:
    write_whole(path, content[: SIZE // 2], content[SIZE // 2 :])


def by_whole_file(path: Path, content: bytes) -> None:
    with folder.whole_file(path) as new:
        new.write_bytes(content)


def by_replace(path: Path, content: bytes) -> None:
    """As a bundle is written: `path` is a file of the folder."""
    new = path.parent.with_name(f"{path.parent.name}.{content[0]}")
    new.mkdir()
    for name in (path.name, "twin"):
        (new / name).write_bytes(content)
    folder.replace(new, path.parent)


def write_and_read(index: int, write: str, path: Path) -> list[bytes]:
    """Write a file again and again, and read it; gives what was not whole."""
    broken = []
    for round_ in range(ROUNDS):
        globals()[write](path, of(index, round_))
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # for a moment, where folders change places
            assert write == "by_replace"
            continue
        if content != content[:1] * SIZE:
            broken.append(content)
    return broken


@pytest.mark.parametrize("write", ["by_write_whole", "by_whole_file", "by_replace"])
def test_many_writers_of_one_place_leave_what_one_of_them_wrote(
    tmp_path: Path, crowd: Crowd, write: str
):
    """Nobody reads a part, nobody fails, and no temporary file stays."""
    path = tmp_path / write / "out" / "file"
    path.parent.mkdir(parents=True)
    assert list(crowd.run(write_and_read, write, path)) == [[]] * PROCESSES
    assert path.read_bytes() in {of(index, ROUNDS - 1) for index in range(PROCESSES)}
    assert [each.name for each in (tmp_path / write).iterdir()] == ["out"]
    twins = [path, path.with_name("twin")] if write == "by_replace" else [path]
    assert sorted(path.parent.iterdir()) == sorted(twins)
    assert len({each.read_bytes() for each in twins}) == 1

"""The folder in which workers of a device take turns: nobody else can be in the way of it, or see through it."""

import os
from pathlib import Path

import pytest

from blade_tune.errors import ConfigError
from blade_tune.fleet.device_lock import device_turn, private_folder
from blade_tune.storage.attempts import Claimant
from blade_tune.storage.process import Owner
from blade_tune.trial.signals import StopSignals


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder that everybody can write to, and the user's own."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    monkeypatch.setenv("XDG_CACHE_HOME", str(own))
    return shared, own


def test_the_folder_is_private_and_always_the_same(places):
    """Nobody else can write there, or list it."""
    folder = private_folder()
    assert folder == private_folder() == places[0] / f"blade-tune-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", ["file", "link", "open folder", "folder of another"])
def test_what_somebody_else_put_there_is_not_used(places, tmp_path: Path, what: str):
    """Workers take turns in the user's own folder then, and what a link points to stays as it is."""
    place, target = places[0] / f"blade-tune-{os.getuid()}", tmp_path / "target"
    target.mkdir()
    if what == "file":
        place.touch()
    elif what == "link":
        place.symlink_to(target)
    else:
        place.mkdir()
        place.chmod(0o777 if what == "open folder" else 0o700)
    if what == "folder of another":
        if os.getuid():
            pytest.skip("needs root, to make a folder of somebody else")
        os.chown(place, 12345, 12345)
    with device_turn(Claimant(Owner.here(), "cuda", 0.5), alone=True, signals=StopSignals()):
        assert sorted(path.suffix for path in places[1].rglob("*.*") if path.is_file()) == [
            ".gate",
            ".room",
        ]
    assert list(target.iterdir()) == []


def test_without_any_place_the_way_out_is_named(places):
    """Both are taken."""
    (places[0] / f"blade-tune-{os.getuid()}").touch()
    places[1].touch()
    with pytest.raises(ConfigError, match="point TMPDIR to a folder that you can write to"):
        private_folder()

"""The wheel and the source distribution: built, installed without the checkout, and run in an empty folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*words: str | Path, cwd: Path = ROOT) -> str:
    """What a command prints that ends well."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.check_output(words, cwd=cwd, env=env, text=True, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder)
    return folder


def test_an_installed_wheel_runs_the_demo_in_an_empty_folder(built: Path, tmp_path: Path):
    """Studies, spaces and tables of known logs come with it; nothing is read from a checkout."""
    (wheel,) = built.glob("*.whl")
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel
    )
    (site,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    # What it needs is what these tests have; an editable install of the package is not among that.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    empty = tmp_path / "empty"
    empty.mkdir()
    place = run(python, "-c", "import blade_tune; print(blade_tune.__file__)", cwd=empty)
    assert Path(place.strip()).is_relative_to(site)
    program = python.with_name("blade-tune")
    assert "ratings.csv" in run(program, "data", "prepare", "movielens", "--help", cwd=empty)
    said = run(program, "run", "--study", "demo", "--trials", "1", "--epochs", "1", cwd=empty)
    assert "study=demo ended: 1 of 1 trials are scored" in said
    assert [path.name for path in empty.iterdir()] == ["results"]


def test_the_wheel_says_that_it_is_typed(built: Path):
    """py.typed is in it, so type checkers of its users read its annotations."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        assert "blade_tune/py.typed" in files.namelist()


def test_the_source_distribution_makes_the_same_wheel(built: Path, tmp_path: Path):
    """With the same files, whether built from the checkout or from the sources that are shipped."""
    (wheel,), (sources,) = built.glob("*.whl"), built.glob("*.tar.gz")
    words = (
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        sources,
    )
    run(sys.executable, *words)
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())

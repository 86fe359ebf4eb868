"""What `retrain` refuses before any training: rows that do not go with the bundle, places that hold something."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blade_tune.catalog import Interactions
from blade_tune.errors import ConfigError, DataError, MissingDataError
from blade_tune.export import retraining
from tests.export.splits import (
    LOG,
    again,
    changed,
    cut,
    export,
    export_fitted,
    read,
    walks,
    write_newer,
)

TIMES = {"first": "2026-01-01", "last": "2026-02-01"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose log ended in February."""
    folder = tmp_path_factory.mktemp("first")
    return export_fitted(folder, write_newer(folder / "shop", cut(walks(), 2), time_span=TIMES))


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a model was trained")

    monkeypatch.setattr(retraining, "_train", refuse)


def renamed(rows: Interactions) -> Interactions:
    return Interactions(rows.users_N, rows.items_N + 1000, rows.sets_NK)


SPLITS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a new behavior": (
        lambda place: write_newer(place, walks(), log=LOG | {"behaviors": ["view", "cart", "buy", "refund"]}),
        r"must have the behaviors view,cart,buy, which the bundle's model knows, in this order, and has "
        r"view,cart,buy,refund; prepare it with --behaviors",
    ),
    "a behavior less": (
        lambda place: write_newer(place, walks(), log=LOG | {"behaviors": ["view", "buy"]}),
        r"and has view,buy; prepare it",
    ),
    "another auxiliary behavior": (
        lambda place: write_newer(place, walks(), auxiliary="cart"),
        r"must have view as auxiliary, as the bundle's data, and has cart; prepare it with --auxiliary",
    ),
    "no auxiliary behavior": (
        lambda place: write_newer(place, walks(), auxiliary=None),
        r"must have view as auxiliary, as the bundle's data, and has none",
    ),
    "repeats that are kept": (
        lambda place: write_newer(place, walks(), log=LOG | {"keep_repeats": True}),
        r"must have no repeats of a user's interactions, as the bundle's data, and has all repeats",
    ),
    "items of another log": (
        lambda place: write_newer(place, renamed(walks())),
        r"must have items of the bundle, and none of its 39 is among the 37 there: it is another log",
    ),
    "rows that end earlier": (
        lambda place: write_newer(place, walks(), time_span=TIMES | {"last": "2026-01-20"}),
        r"must have newer rows than the bundle was trained on, and they end at 2026-01-20, and the bundle's at",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "words"), SPLITS.values(), ids=SPLITS)
def test_a_split_that_does_not_go_with_the_bundle(
    bundle: Path, tmp_path: Path, written: Callable[[Path], Path], words: str
):
    """One line with place, law, fact and way out; nothing is trained or written."""
    split = written(tmp_path / "newer")
    with pytest.raises(DataError, match=f"^{split}: .*{words}") as error:
        again(bundle, split, tmp_path / "out" / "next")
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2
    assert not (tmp_path / "out" / "next").exists()


def test_a_split_that_is_not_there(bundle: Path, tmp_path: Path):
    """The message says what is looked for."""
    with pytest.raises(MissingDataError, match=r"must hold train\.txt"):
        again(bundle, tmp_path / "none", tmp_path / "next")


def test_rows_of_a_bundle_before_are_older(bundle: Path, tmp_path: Path):
    """A split whose rows an earlier bundle of the history had is refused, also without times."""
    later = tmp_path / "later"
    later.mkdir()
    for path in bundle.iterdir():
        (later / path.name).write_bytes(path.read_bytes())
    split = write_newer(tmp_path / "shop", cut(walks(), 2))

    def follow(facts: dict[str, Any]) -> None:
        facts["history"] = [{"data_hash": facts["data_hash"]}]
        facts["data_hash"] = "0" * 64
        facts["data"]["time_span"] = None

    changed(later, "provenance.json", follow)
    with pytest.raises(
        DataError, match="and they are those of a bundle before it; give the newest"
    ):
        again(later, split, tmp_path / "next")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("first", "is the bundle of before, or lies in it"),
        ("first/next", "is the bundle of before, or lies in it"),
        ("link", "is the bundle of before, or lies in it"),
        ("full", "holds something already, and nothing is replaced"),
        ("file", "must be a folder, and is a file"),
    ],
)
def test_a_place_that_holds_something(bundle: Path, tmp_path: Path, out: str, words: str):
    """The old bundle, also through a link, and any other folder with files are never written to."""
    (tmp_path / "first").symlink_to(bundle)
    (tmp_path / "link").symlink_to(bundle)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=words):
        again(tmp_path / "first", None, tmp_path / out, results=tmp_path / "results")


def test_a_model_that_was_trained_on_valid_rows_is_judged_on_test_rows(tmp_path: Path):
    """Validation rows can then judge neither model."""
    split = write_newer(tmp_path / "shop", walks())
    full = export(tmp_path / "full", split, options={"with_valid": True})
    with pytest.raises(
        ConfigError, match=r"which can then judge neither model; give --judge-on test\.$"
    ):
        again(full, split, tmp_path / "next")


def test_a_log_that_is_not_found_says_how_to_go_on(bundle: Path, tmp_path: Path):
    """Where the bundle's log is not, or is another, the message has the command that adds the rows by hand."""
    words = (
        r"or data/shop: must hold the log that the bundle was trained on, and does not; add the rows where the log is "
        r"\(`blade-tune data prepare event-log --append --source new\.csv --name shop`\), and give the newest version"
    )
    folder = Path(read(bundle, "provenance.json")["data"]["folder"])
    (folder / "preparation.json").rename(folder / "kept")
    try:
        with pytest.raises(DataError, match=words):
            again(bundle, None, tmp_path / "next", sources=[Path("new.csv")])
    finally:
        (folder / "kept").rename(folder / "preparation.json")


def test_a_bundle_that_does_not_say_how_it_was_trained(bundle: Path, tmp_path: Path):
    """A fact that is needed and missing is named."""
    old = tmp_path / "old"
    old.mkdir()
    for path in bundle.iterdir():
        (old / path.name).write_bytes(path.read_bytes())
    changed(old, "provenance.json", lambda facts: facts.pop("training_seed"))
    with pytest.raises(DataError, match=r"lacks training_seed; export the bundle again"):
        again(old, None, tmp_path / "next")

"""A bundle's model trained again on newer rows: the same on the same rows, fairly compared, with its history."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.catalog import Interactions
from blade_tune.data.ledger import Ledger
from blade_tune.errors import DataError
from blade_tune.export import checksums
from blade_tune.export.earlier_bundle import EarlierBundle
from blade_tune.export.earlier_ranks import EarlierNumbers, NewestRows, earlier_ranks
from blade_tune.export.newer_data import NewerData, newer_data
from blade_tune.export.reading import load_bundle
from blade_tune.export.recommender import Recommender
from blade_tune.metrics import UNREACHABLE
from tests.data.raw.logs import ALL, EVENTS, prepared, write_log
from tests.export.splits import (
    BEHAVIORS,
    CPU,
    again,
    changed,
    cut,
    export,
    export_fitted,
    read,
    walks,
    write_newer,
)

RULES = {"num_users": 250, "without": ["sets"], "noise": 0.05, "num_clusters": 10}


@pytest.fixture(scope="module")
def rows() -> Interactions:
    """All rows of some users; bundles here are trained without the newest three of each."""
    return walks()


@pytest.fixture(scope="module")
def older(rows: Interactions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split of a part of the rows: the newest three of each user, two users and an item are not there yet."""
    then = cut(rows, 3)
    then = then.rows((then.users_N > 2) & (then.items_N != 7))
    return write_newer(tmp_path_factory.mktemp("older") / "shop", then)


@pytest.fixture(scope="module")
def newer(rows: Interactions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split of all rows."""
    return write_newer(tmp_path_factory.mktemp("newer") / "shop", rows)


@pytest.fixture(scope="module")
def first(older: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a neural model."""
    return export(tmp_path_factory.mktemp("first"), older)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- the same rows ---


def test_on_equal_rows_the_model_is_equal_to_the_bit(first: Path, older: Path, tmp_path: Path):
    """Same rows, same weights, same ids, same ranks; the difference is 0, which is not better, and it is said."""
    before = tree(first)
    found = again(first, older, tmp_path / "next")
    for name in ("weights.safetensors", "best.yaml", "users.csv", "items.csv", "ranks.npy"):
        assert (tmp_path / "next" / name).read_bytes() == before[name]
    assert tree(first) == before
    assert (found.is_same_data, found.outcome) == (True, "undecided")
    assert found.comparison["difference"] == {
        "difference": 0.0,
        "low": 0.0,
        "high": 0.0,
        "p_value": 1.0,
    }
    old, new = read(first, "metrics.json"), read(tmp_path / "next", "metrics.json")
    assert {name: new[name] for name in old} == old


def test_a_fitted_model_and_one_with_valid_rows_are_equal_too(older: Path, tmp_path: Path):
    """Rules that are fitted at once, and a model that was trained on validation rows too, judged on test rows."""
    fitted = export_fitted(tmp_path / "fitted", older)
    again(fitted, older, tmp_path / "a" / "next")
    full = export(tmp_path / "full", older, options={"with_valid": True})
    again(full, older, tmp_path / "b" / "next", judged_on="test")
    for bundle, folder in ((fitted, "a"), (full, "b")):
        weights = (tmp_path / folder / "next" / "weights.safetensors").read_bytes()
        assert weights == (bundle / "weights.safetensors").read_bytes()
    assert read(tmp_path / "b" / "next", "metrics.json")["valid"] is None


# --- ids under other numbers ---


def ranks_by_user(bundle: EarlierBundle, found: NewerData) -> dict[str, int]:
    parts = [found.data.train, found.data.valid]
    rows = NewestRows(parts, found.data.catalog, bundle.objective, CPU)
    numbers = EarlierNumbers.of(
        (found.origin.users, bundle.loaded.users), (found.origin.items, bundle.loaded.items)
    )
    ranks_U, _ = earlier_ranks(bundle.loaded.model, rows, numbers)
    users = [found.origin.users[row] for row in rows.rows_U.tolist()]
    return dict(zip(users, ranks_U.tolist(), strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_another_numbering_changes_no_rank(
    first: Path, newer: Path, rows: Interactions, tmp_path: Path, seed: int
):
    """The old model gives each user's newest row one rank, however users and items are numbered."""
    bundle = EarlierBundle.read(first)
    shuffled = write_newer(tmp_path / "shop", rows, np.random.default_rng(seed))
    as_is = ranks_by_user(bundle, newer_data(bundle, newer, tmp_path))
    assert ranks_by_user(bundle, newer_data(bundle, shuffled, tmp_path)) == as_is
    assert UNREACHABLE in as_is.values()
    assert len({rank for rank in as_is.values() if rank != UNREACHABLE}) > 5


def test_the_old_model_sees_the_newest_histories(first: Path, newer: Path, tmp_path: Path):
    """A slow twin: each user's rank from the ids of the newest rows, one user at a time."""
    bundle = EarlierBundle.read(first)
    found = newer_data(bundle, newer, tmp_path)
    model, numbers = bundle.loaded.model, {}
    for number, item in enumerate(bundle.loaded.items, start=1):
        numbers[item] = number
    train, valid = found.data.train, found.data.valid
    expected = {}
    for user, target, told in zip(valid.users_N, valid.items_N, valid.sets_NK, strict=True):
        name, wanted = found.origin.users[user - 1], found.origin.items[target - 1]
        mine = np.flatnonzero(train.users_N == user)
        history = [found.origin.items[item - 1] for item in train.items_N[mine]]
        met = [
            (numbers[i], s)
            for i, s in zip(history, train.sets_NK[mine], strict=True)
            if i in numbers
        ]
        if wanted not in numbers:
            expected[name] = UNREACHABLE
            continue
        window = met[-model.max_length :]
        batch = batch_of(window, told, model.max_length)
        if name in bundle.loaded.users:
            batch.users_B[0] = bundle.loaded.users.index(name) + 1
        with torch.inference_mode():
            (scores_V,) = model.scores(batch).numpy()
        excluded = {numbers.get(item) for item in history[-model.max_length :]}
        rivals = [n for n in numbers.values() if n not in excluded]
        rank = sum(scores_V[n] > scores_V[numbers[wanted]] for n in rivals)
        expected[name] = UNREACHABLE if numbers[wanted] in excluded else int(rank)
    assert ranks_by_user(bundle, found) == expected


def batch_of(window: list[Any], told: Any, length: int) -> Batch:
    """The batch of an unknown user with a history."""
    items_BL = torch.zeros(1, length, dtype=torch.long)
    sets_BLK = torch.zeros(1, length, len(told), dtype=torch.uint8)
    for place, (item, behaviors) in enumerate(window, start=length - len(window)):
        items_BL[0, place] = item
        sets_BLK[0, place] = torch.tensor(behaviors.tolist())
    target_BLK = torch.zeros_like(sets_BLK)
    target_BLK[0, -1] = torch.tensor(told.tolist())
    return Batch(torch.zeros(1, dtype=torch.long), items_BL, sets_BLK, items_BL, target_BLK)


def test_what_the_old_model_cannot_know_is_a_miss_and_is_counted(
    first: Path, newer: Path, tmp_path: Path
):
    """Rows of the new item are misses of the old model; figures on the others stand beside."""
    facts = again(first, newer, tmp_path / "next").comparison
    misses, both = facts["rows_of_new_items"], facts["where_both_know_the_item"]
    assert misses > 0
    assert facts["rows_of_new_users"] >= 2
    assert both["rows"] + misses == facts["rows"]
    assert facts["earlier"] == pytest.approx(both["earlier"] * both["rows"] / facts["rows"])
    assert set(facts["baselines"]) == {"popularity", "popularity_told", "item_knn"}
    assert set(facts["verdicts"]) == {"new", "earlier"}


# --- which one is better ---


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rules between items of one law."""
    folder = tmp_path_factory.mktemp("rules")
    return export_fitted(folder, write_newer(folder / "shop", walks(**RULES)))


def test_where_the_law_has_changed_the_new_model_is_written(rules: Path, tmp_path: Path):
    """Newer rows follow another law, which the old model cannot know: the interval lies above 0."""
    split = write_newer(tmp_path / "shop", walks(**RULES, seed=7))
    found = again(rules, split, tmp_path / "next", if_better=True)
    assert (found.outcome, found.bundle) == ("better", tmp_path / "next")
    assert found.comparison["difference"]["low"] > 0
    assert load_bundle(tmp_path / "next")
    assert "## Bundles before it" in (tmp_path / "next" / "README.md").read_text()


def scrambled(train: Interactions) -> Interactions:
    """Train rows with drawn items but for the last of each user, from which the next follows."""
    draw = np.random.default_rng(0)
    is_last_N = np.append(train.users_N[1:] != train.users_N[:-1], True)
    items_N = np.where(is_last_N, train.items_N, draw.permutation(train.items_N))
    return Interactions(train.users_N, items_N, train.sets_NK)


def test_a_crippled_split_leaves_the_old_bundle_in_use(rules: Path, tmp_path: Path):
    """Where train rows are garbage the old model is better; nothing is written, no test row is opened."""
    split = write_newer(tmp_path / "shop", walks(**RULES, seed=2026), change=scrambled)
    before = tree(rules)
    found = again(rules, split, tmp_path / "next", if_better=True)
    assert (found.outcome, found.bundle) == ("worse", None)
    assert found.comparison["difference"]["high"] < 0
    assert not (tmp_path / "next").exists()
    assert not (tmp_path / "retrained.jsonl").exists()
    assert tree(rules) == before
    assert again(rules, split, tmp_path / "next").bundle == tmp_path / "next"


# --- newer events of a log ---


def test_newer_events_are_added_to_the_log_of_the_bundle(tmp_path: Path):
    """With `--source` the log that the bundle remembers gets the rows, once, and its newest version is trained on."""
    events = events_of(walks())
    for name, kept in (("old", events[:-60]), ("new", events[-60:])):
        write_log(tmp_path / f"{name}.csv", kept)
    prepared(tmp_path / "old.csv", tmp_path / "shop", EVENTS, ALL, keeps_log=True)
    bundle = export_fitted(tmp_path / "results", tmp_path / "shop")
    for name in ("one", "two"):
        found = again(bundle, None, tmp_path / name, sources=[tmp_path / "new.csv"])
        assert not found.is_same_data
        assert read(tmp_path / name, "provenance.json")["data"]["version"] == 2
    assert [path.name for path in sorted(tmp_path.glob("shop*"))] == ["shop", "shop.2"]
    again(tmp_path / "one", None, tmp_path / "three", sources=[tmp_path / "new.csv"])
    changed(tmp_path / "one", "provenance.json", lambda facts: facts.pop("history"))
    with pytest.raises(DataError, match="are version 1 of the log, and the bundle's are version 2"):
        again(tmp_path / "one", tmp_path / "shop", tmp_path / "four")


def events_of(rows: Interactions) -> list[dict[str, Any]]:
    """The rows as events in order of time, without numbers of users and items."""
    steps_N = np.arange(len(rows)) - np.searchsorted(rows.users_N, rows.users_N)
    events = []
    for place in np.argsort(steps_N, kind="stable").tolist():
        for k in np.flatnonzero(rows.sets_NK[place]).tolist():
            ids = {"user": f"u{rows.users_N[place]}", "item": f"i{rows.items_N[place]}"}
            events.append({**ids, "time": str(steps_N[place]), "event": BEHAVIORS[k]})
    return events


# --- history and ledger ---


def test_the_history_grows_with_every_retraining(first: Path, newer: Path, tmp_path: Path):
    """A bundle lists those before it, oldest first, by digest, rows and figures; it recommends like any other."""
    again(first, newer, tmp_path / "second")
    again(tmp_path / "second", newer, tmp_path / "third")
    one, two = (read(tmp_path / name, "provenance.json")["history"] for name in ("second", "third"))
    assert (len(one), len(two)) == (1, 2)
    assert two[0] == one[0]
    for entry, bundle in zip(two, (first, tmp_path / "second"), strict=True):
        metrics, provenance = read(bundle, "metrics.json"), read(bundle, "provenance.json")
        assert entry["digest"] == checksums.verify(bundle)
        assert entry["data_hash"] == provenance["data_hash"]
        assert entry["rows"] == provenance["data"]["rows"]
        assert entry["test"] == metrics["test"]["ndcg@10"]
    assert two[0]["difference"] is None
    assert (
        two[1]["difference"]
        == read(tmp_path / "second", "metrics.json")["comparison"]["difference"]
    )
    found = Recommender.load(tmp_path / "third").recommend({"u1": [("i7", ["view"])]}, ["buy"], 3)
    assert len(found["u1"]) == 3


def test_a_bundle_of_an_earlier_version_is_read(first: Path, newer: Path, tmp_path: Path):
    """Without history, rows, folder and times a bundle is retrained all the same."""
    bundle = tmp_path / "first"
    bundle.mkdir()
    for name, content in tree(first).items():
        (bundle / name).write_bytes(content)

    def strip(facts: dict[str, Any]) -> None:
        facts["data"] = {name: facts["data"][name] for name in ("name", "license")}
        del facts["member_trainings"]

    changed(bundle, "provenance.json", strip)
    again(bundle, newer, tmp_path / "next")
    (entry,) = read(tmp_path / "next", "provenance.json")["history"]
    assert entry["rows"] is None
    assert "| unknown " in (tmp_path / "next" / "README.md").read_text()


def test_test_rows_are_opened_once_and_written_down(first: Path, newer: Path, tmp_path: Path):
    """One line a retraining that judges on test rows or writes; the bundle names it, and a cut ledger is refused."""
    ledger = Ledger(tmp_path / "retrained.jsonl")
    again(first, newer, tmp_path / "second")
    found = again(first, newer, tmp_path / "third", judged_on="test", if_better=True)
    purposes = [entry["purpose"] for entry in ledger.entries()]
    assert purposes == ["to measure what is written", "to decide"]
    if found.bundle is None:
        assert not (tmp_path / "third").exists()
    assert read(tmp_path / "second", "provenance.json")["ledger"]["lines"] == 1
    ledger.path.write_text("")
    with pytest.raises(DataError, match=r"must hold line 1 as .*second names it, and does not"):
        again(first, newer, tmp_path / "fourth")


# --- what stops it ---


@pytest.mark.parametrize("place", ["on_epoch", "write_bundle", "load_bundle"])
def test_ctrl_c_leaves_no_half(
    first: Path, newer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    """Stopped in training, in writing or in the last check: the old bundle is whole, of a new one there is nothing."""
    before = tree(first)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    options = {}
    if place == "on_epoch":
        options["on_epoch"] = stop
    else:
        monkeypatch.setattr(f"blade_tune.export.final.{place}", stop)
    with pytest.raises(KeyboardInterrupt):
        again(first, newer, tmp_path / "next", results=tmp_path / "results", **options)
    left = {path.name for path in tmp_path.iterdir()} - {"results", "retrained.jsonl"}
    assert left == set()
    assert tree(first) == before

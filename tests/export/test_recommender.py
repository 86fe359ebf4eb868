"""A bundle at work: what it recommends, to whom, and that it is what was exported."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from blade_tune.batch import Batch
from blade_tune.data.folder import whole_file
from blade_tune.data.raw.settings import LogFormat
from blade_tune.errors import ConfigError, DataError
from blade_tune.export.data_origin import log_formats
from blade_tune.export.recommender import Recommender
from blade_tune.layers.embedding import UserTable
from blade_tune.models import MODELS
from tests.builders import MAX_LENGTH, make_catalog, make_model
from tests.cli.program import call
from tests.data.raw.logs import write_log
from tests.tiny import stored

History = Sequence[tuple[str, Sequence[str]]]
CATALOG = make_catalog()
NAMES = CATALOG.behaviors
USERS = [f"u{n}" for n in range(1, CATALOG.num_users + 1)]
ITEMS = [f"i{n}" for n in range(1, CATALOG.num_items + 1)]
HISTORIES: dict[str, History] = {
    "u2": [("i3", ["click"]), ("i9", ["click", "like"]), ("i3", ["share"])],
    "stranger": [("i5", ["follow"]), ("no such item", ["click"])],
    "u7": [(f"i{item}", ["click", "like"][item % 2 :]) for item in range(1, 16)],
    "lost": [("no such item", ["like"])],
    "empty": [],
}


def made(name: str) -> Recommender:
    """A model of the registry with ids."""
    return Recommender(
        make_model(name, CATALOG).eval(), LogFormat.of_split_files(NAMES), USERS, ITEMS
    )


def slowly(
    recommender: Recommender, user: str, history: History, target: Sequence[str], *, seen: bool
) -> dict[str, float]:
    """The score of each item for one user, by the model's own `scores` of a window made by hand."""
    known = [
        (ITEMS.index(item) + 1, [int(name in s) for name in NAMES])
        for item, s in history
        if item in ITEMS
    ]
    length = min(len(known), MAX_LENGTH)
    window = known[-length:]
    following = [sets for _, sets in window[1:]] + [[int(name in target) for name in NAMES]]
    batch = Batch(
        torch.tensor([USERS.index(user) + 1 if user in USERS else 0]),
        torch.tensor([[item for item, _ in window]]),
        torch.tensor([[sets for _, sets in window]], dtype=torch.uint8),
        torch.tensor([[item for item, _ in window[1:]] + [1]]),
        torch.tensor([following], dtype=torch.uint8),
    )
    with torch.inference_mode():
        scores_V = recommender.model.scores(batch)[0]
    gone = set() if seen else {item for item, _ in known}
    return {
        ITEMS[item - 1]: float(scores_V[item])
        for item in range(1, len(scores_V))
        if item not in gone
    }


# --- every model ---


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seen", [False, True])
def test_recommendations_are_the_best_by_the_models_scores(name: str, seen: bool) -> None:
    """For known and unknown users, in batches of any length: the order of one user's scores, met items left out."""
    recommender, target = made(name), ["like", "share"]
    found = recommender.recommend(HISTORIES, target, k=len(ITEMS), include_seen=seen)
    assert list(found) == list(HISTORIES)
    assert found["lost"] == found["empty"] == []
    for user in ("u2", "stranger", "u7"):
        scores = [score for _, score in found[user]]
        assert dict(found[user]) == pytest.approx(
            slowly(recommender, user, HISTORIES[user], target, seen=seen), abs=1e-5
        )
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", MODELS)
def test_unknown_users_have_the_mean_preference(name: str) -> None:
    """Row 0 of every table of users is the mean of the others, and that alone tells strangers from a user."""
    recommender = made(name)
    tables = [table for table in recommender.model.modules() if isinstance(table, UserTable)]
    for table in tables:
        torch.testing.assert_close(table.weight[0], table.weight[1:].mean(dim=0))
        with torch.no_grad():
            table.weight[2] = table.weight[0]
    history = HISTORIES["u7"]
    found = recommender.recommend({"u2": history, "a": history, "b": history})
    assert dict(found["u2"]) == pytest.approx(dict(found["a"]), abs=1e-5) == dict(found["b"])


def test_the_target_set_matters_where_it_is_told() -> None:
    """Other hopes give other scores; without one, all but the auxiliary behavior are hoped for."""
    recommender = made("blade")
    told = {
        target: recommender.recommend(HISTORIES, target.split(","))["u7"]
        for target in ("like", "like,share,follow")
    }
    assert told["like"] != told["like,share,follow"]
    assert recommender.recommend(HISTORIES)["u7"] == told["like,share,follow"]


def test_a_model_that_was_told_the_mode_is_told_it_by_default() -> None:
    """Where the study told the most frequent set, nothing named means that set; else all target behaviors."""
    model = make_model("blade", CATALOG).eval()
    model.catalog = replace(CATALOG, mode_set_K=np.array([0, 0, 1, 0], np.uint8))
    form = LogFormat.of_split_files(NAMES)
    told = Recommender(model, form, USERS, ITEMS, "mode")
    assert told.recommend(HISTORIES) == told.recommend(HISTORIES, [NAMES[2]])
    assert told.recommend(HISTORIES) != told.recommend(HISTORIES, NAMES[1:])
    for target_set in ("truth", "constant"):
        other = Recommender(model, form, USERS, ITEMS, target_set)
        assert other.recommend(HISTORIES) == other.recommend(HISTORIES, NAMES[1:])


def test_blocks_of_users_are_of_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """One user at a time or all at once: the same items; scores differ by rounding at most."""
    recommender = made("blade")
    many = {f"{user}{n}": history for n in range(3) for user, history in HISTORIES.items()}
    at_once = recommender.recommend(many, k=4)
    for name in ("USERS_AT_ONCE", "SCORES_AT_ONCE", "FEWEST_AT_ONCE"):
        monkeypatch.setattr(f"blade_tune.export.recommender.{name}", 1)
    one_by_one = recommender.recommend(many, k=4)
    for user in many:
        assert [item for item, _ in one_by_one[user]] == [item for item, _ in at_once[user]]
        np.testing.assert_allclose(
            [s for _, s in one_by_one[user]], [s for _, s in at_once[user]], rtol=1e-5
        )


@pytest.mark.parametrize(
    ("histories", "target", "k", "law"),
    [
        (HISTORIES, ["lik"], 3, "unknown behavior 'lik'. Did you mean like?"),
        (
            {"u": [("i1", ["buy"])]},
            None,
            3,
            "unknown behavior 'buy'. Known: click, follow, like, share.",
        ),
        (HISTORIES, [], 3, "target must name at least one behavior."),
        (HISTORIES, None, 0, "k must be at least 1, got 0."),
    ],
)
def test_what_cannot_be_meant_is_refused(histories: Any, target: Any, k: int, law: str) -> None:
    """With the law and a guess."""
    with pytest.raises(ConfigError) as error:
        made("sasrec").recommend(histories, target, k)
    assert str(error.value) == law


# --- a bundle ---


def test_python_needs_no_optuna(bundle: Path) -> None:
    """Loading a bundle and recommending imports neither optuna nor sqlalchemy, click, pandas or plotly."""
    script = f"""
import sys
from blade_tune.export.recommender import Recommender
found = Recommender.load({str(bundle)!r}).recommend({{"1": [("3", ["click"])]}}, ["like"], k=2)
assert len(found["1"]) == 2
print(sorted({{"optuna", "sqlalchemy", "click", "pandas", "plotly"}} & set(sys.modules)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "[]\n"


def test_no_file_of_a_bundle_is_a_pickle(bundle: Path) -> None:
    """Weights are safetensors, ranks plain numbers, the rest text."""
    assert np.load(bundle / "ranks.npy", allow_pickle=False).dtype == np.int32
    assert load_file(bundle / "weights.safetensors")
    rest = {path.suffix for path in bundle.iterdir()} - {".npy", ".safetensors"}
    assert rest == {".json", ".yaml", ".csv", ".md"}


def test_the_model_card_says_what_it_is(bundle: Path) -> None:
    """Data and its license, settings, figures with intervals, seeds, the ledger's line, intended use."""
    card = (bundle / "README.md").read_text(encoding="utf-8")
    provenance, metrics = (
        json.loads((bundle / f"{name}.json").read_text()) for name in ("provenance", "metrics")
    )
    for heading in ("Intended use", "Data", "How it was made", "Figures"):
        assert f"\n## {heading}\n" in card
    low, high = metrics["test_intervals"]["ndcg@10"]
    assert low < metrics["test"]["ndcg@10"] < high
    ledger = stored(bundle.parent).study.user_attrs["ledger"]
    for words in (
        "license of the data: none: the data is made up",
        f"| {metrics['test']['ndcg@10']:.4f} | {low:.4f} to {high:.4f}",
        f"seed of the training: {provenance['training_seed']}",
        f"line {ledger['lines']} of the study's ledger, {ledger['hash']}",
        provenance["data_hash"],
        provenance["protocol"],
        "protocol: loss bce, recipe published, exclude window, target_set truth, budget 1 trials of max_epochs 2, no "
        "fresh seeds, test rows opened once",
        "The model is told the behavior set of the item to predict, or its label.",
        "| model.embedding_size | 8",
        "--target like,share,follow",
    ):
        assert words in card, words


def flip(path: Path) -> None:
    """Change the last bit."""
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))


def rehash(folder: Path, name: str) -> None:
    """Pretend that a changed file was written so."""
    flip(folder / name)
    path = folder / "checksums.json"
    content = json.loads(path.read_text())
    content["files"][name] = "0" * 64
    path.write_text(json.dumps(content))


FILES = (
    "weights.safetensors",
    "best.yaml",
    "catalog.json",
    "users.csv",
    "items.csv",
    "metrics.json",
    "README.md",
)
TAMPERING: dict[str, tuple[Any, str]] = {
    **{
        f"a bit of {name}": (lambda folder, name=name: flip(folder / name), f"{name}: was changed")
        for name in FILES
    },
    "no weights": (
        lambda folder: (folder / "weights.safetensors").unlink(),
        "weights.safetensors: is missing",
    ),
    "no checksums": (lambda folder: (folder / "checksums.json").unlink(), "has no checksums.json"),
    "checksums of another": (
        lambda folder: rehash(folder, "best.yaml"),
        "checksums.json: was changed",
    ),
    "damaged checksums": (
        lambda folder: flip(folder / "checksums.json"),
        "checksums.json: is damaged|was changed",
    ),
    "empty checksums": (
        lambda folder: (folder / "checksums.json").write_text("{}"),
        "checksums.json: is damaged",
    ),
    "no bundle": (
        lambda folder: [path.unlink() for path in folder.iterdir()],
        "must be a bundle that export-best wrote",
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_a_bundle_that_was_tampered_with_is_refused(
    copied: Path, tmp_path: Path, kind: str
) -> None:
    """Whatever was changed: in Python an error, on the command line one line and code 2, and nothing recommended."""
    tamper, law = TAMPERING[kind]
    Recommender.load(copied)
    tamper(copied)
    if kind.startswith("damaged"):
        (copied / "checksums.json").write_text((copied / "checksums.json").read_text()[:-3])
    with pytest.raises(DataError, match=law):
        Recommender.load(copied)
    write_log(
        tmp_path / "users.csv",
        [{"user": "1", "item": "3", "click": "1", "like": "0", "share": "0", "follow": "0"}],
    )
    ended = call(
        "recommend",
        "--bundle",
        "bundle",
        "--users",
        "users.csv",
        "--out",
        "out.csv",
        "-q",
        cwd=tmp_path,
    )
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "out.csv").exists()


def test_other_weights_under_their_own_checksum_are_refused(copied: Path) -> None:
    """Weights that were written anew, with the same names and shapes, are not those that were exported."""
    weights = load_file(copied / "weights.safetensors")
    save_file(
        {name: tensor + 1 for name, tensor in weights.items()}, copied / "weights.safetensors"
    )
    with pytest.raises(DataError, match=r"weights\.safetensors: was changed"):
        Recommender.load(copied)


def test_behaviors_are_called_as_the_study_calls_them() -> None:
    """A study may name the behaviors of a prepared log anew; the bundle reads the same columns under its names."""
    log = LogFormat(user="u", item="i", behaviors=("view", "buy"), columns=("is_view", "is_buy"))
    names = ("look", "order")
    read = log_formats({"log": log.model_dump(mode="json")}, names)
    assert read == [log.model_copy(update={"behaviors": names})]
    assert log_formats({}, names) == [LogFormat.of_split_files(names)]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Where writing fails, an older file stands, and nothing else is left."""
    (tmp_path / "found.csv").write_text("older")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "found.csv") as new:
        assert new.write_text("half") / 0
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("found.csv", "older")
    ]

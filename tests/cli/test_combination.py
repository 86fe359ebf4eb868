"""A combination: a weighted sum of trials of other studies, from the search for its weights to recommendations."""

import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from blade_tune.config import read_yaml
from tests.cli.combined import (
    COMBINATION,
    NAME,
    SAME,
    TRIALS,
    anew,
    best,
    copies,
    is_stored,
    kept,
    load,
)
from tests.cli.program import TINY, call, do, write_study
from tests.cli.test_classical import refused, trials

# --- a search for weights ---


def test_weights_are_searched_and_equal_ones_are_tried_first(combined: Path):
    """Every trial is one evaluation; the first sums scores as they are."""
    rows = trials(combined, NAME)
    assert [(row["state"], row["epochs"]) for row in rows] == [("complete", 1)] * TRIALS
    first = {
        name: value for name, value in rows[0].items() if name.startswith(("model.", "train."))
    }
    assert first == {
        "model.normalization": "scores",
        "model.rank_offset": None,
        "model.weight_2": 1.0,
        "model.weight_3": 1.0,
    }
    assert [row["tag"] for row in rows] == ["default", None, None]


def test_members_are_found_by_study_and_trial(combined: Path):
    """STUDY is its best trial and STUDY:TRIAL that one; their weights are copied, to the byte."""
    members = [
        ("tiny-item_knn", best(combined, "tiny-item_knn")),
        ("tiny-ials", 1),
        ("tiny", best(combined, "tiny")),
    ]
    assert kept(combined) == members
    for path, (study, number) in zip(copies(combined), members, strict=True):
        assert path.read_bytes() == load(combined, study).folder.trial(number).weights.read_bytes()


def test_two_members_have_two_weights(tuned_copy: Path):
    """A study file may name members too; weights that no member has are neither searched nor stored."""
    members = ["tiny-item_knn", "tiny-ials"]
    sections: dict[str, Any] = {
        "model": "combination",
        "space": "combination",
        "train": {},
        "members": members,
    }
    write_study(tuned_copy / "studies" / "pair.yaml", **sections, search={"trials": 2})
    do(tuned_copy, "run --study pair -q")
    searched = read_yaml(tuned_copy / "results" / "pair" / "study.yaml")["space"]["model"]
    assert set(searched) == {"normalization", "rank_offset", "weight_2"}
    rows = trials(tuned_copy, "pair")
    assert [row["state"] for row in rows] == ["complete"] * 2
    assert not any(
        name.startswith(("model.weight_3", "model.weight_4", "model.weight_5")) for name in rows[0]
    )


def test_a_second_run_changes_nothing(combined_copy: Path):
    """The same command adds no row, and --add goes on with the same members."""
    before = trials(combined_copy, NAME)
    again = do(combined_copy, f"{SAME} --trials {TRIALS}")
    assert f"\nstudy={NAME} ended: {TRIALS} of {TRIALS} trials are scored\n" in again.err
    assert trials(combined_copy, NAME) == before
    do(combined_copy, f"{SAME} --add 1 -q")
    assert trials(combined_copy, NAME)[:TRIALS] == before
    assert [row["state"] for row in trials(combined_copy, NAME)] == ["complete"] * (TRIALS + 1)


def test_a_combination_keeps_its_members(combined_copy: Path):
    """Where a member's study has found a better trial since, the stored combination stays what it is."""
    before = kept(combined_copy)
    study = load(combined_copy, "tiny-item_knn").study
    now = study.trials[best(combined_copy, "tiny-item_knn")]
    study.add_trial(
        optuna.create_trial(value=0.99, params=now.params, distributions=now.distributions)
    )
    assert best(combined_copy, "tiny-item_knn") != now.number
    do(combined_copy, f"{SAME} --trials {TRIALS} -q")
    assert kept(combined_copy) == before
    assert len(trials(combined_copy, NAME)) == TRIALS


OTHERS = {
    "another trial": "tiny-item_knn,tiny-ials:0,tiny",
    "another study": "tiny-item_knn,tiny-item_knn,tiny",
    "another order": "tiny-ials:1,tiny-item_knn,tiny",
    "fewer": "tiny-item_knn,tiny-ials:1",
}


@pytest.mark.parametrize("members", OTHERS.values(), ids=OTHERS)
def test_other_members_are_another_question(combined: Path, members: str):
    """A stored combination refuses them with code 3, and says which are stored and which are given."""
    ended = call(*COMBINATION.split(), "--members", members, "--trials", "9", cwd=combined)
    assert (ended.code, ended.out) == (3, "")
    assert "members: stored ['tiny-item_knn:" in ended.err
    assert f", now ['{members.partition(',')[0].partition(':')[0]}:" in ended.err
    assert "start a study of another name" in ended.err
    assert len(trials(combined, NAME)) == TRIALS


# --- what cannot be combined ---

MISTAKES = {
    "an unknown study": (
        f"{COMBINATION} --members tiny,tiny-nothing",
        "member tiny-nothing: no study tiny-nothing is stored here; run it first.",
    ),
    "an unknown trial": (
        f"{COMBINATION} --members tiny,tiny-ials:2",
        "study tiny-ials has trials 0 to 1.",
    ),
    "no number": (
        f"{COMBINATION} --members tiny,tiny-ials:one",
        "study tiny-ials has trials 0 to 1.",
    ),
    "one member": (
        f"{COMBINATION} --members tiny",
        "has 2 to 5 members, got 1; name studies that were run",
    ),
    "six members": (
        f"{COMBINATION} --members {','.join(['tiny'] * 6)}",
        "has 2 to 5 members, got 6; name studies",
    ),
    "no member": (
        COMBINATION,
        "has 2 to 5 members, got 0; name studies that were run on the same data, --members",
    ),
    "another model": (
        "run --study tiny --model item_knn --members tiny,tiny-ials",
        "members are those of the model combination, and the model is item_knn.",
    ),
    "the file's model": (
        "run --study tiny --members tiny,tiny-ials",
        "members are those of the model combination, and the model is blade.",
    ),
    "epochs": (
        f"{COMBINATION} --members tiny,tiny-ials --epochs 2",
        "combination is fitted at once and has no epochs",
    ),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_combined_is_refused(tuned: Path, words: str, told: str):
    """One line names the law and the way out, and no study is stored."""
    assert told in refused(tuned, words)
    assert not is_stored(tuned)


def test_a_trial_without_weights_is_no_member(tuned: Path):
    """Of trials that fell behind, --keep removes the weights; the error names their file and that flag."""
    known = load(tuned, "tiny-item_knn")
    (lost, _) = (trial.number for trial in known.trials if not known.files(trial).weights.exists())
    said = refused(tuned, f"{COMBINATION} --members tiny,tiny-item_knn:{lost}")
    assert (
        f"member tiny-item_knn:{lost}: results/tiny-item_knn/trials/{lost}/best.safetensors is not there"
        in said
    )
    assert "(--keep)" in said
    assert not is_stored(tuned)


def test_a_combination_is_no_member(combined_copy: Path):
    """The error says to name what it is made of."""
    sections: dict[str, Any] = {
        "model": "combination",
        "space": "combination",
        "train": {},
        "members": [NAME, "tiny"],
    }
    write_study(combined_copy / "studies" / "nested.yaml", **sections)
    assert f"member {NAME}: is a combination; name the studies" in refused(
        combined_copy, "run --study nested"
    )
    assert not is_stored(combined_copy, "nested")


@pytest.fixture
def of_other_data(tuned_copy: Path) -> Path:
    """A copy with a study of item_knn on the data of one more user."""
    write_study(tuned_copy / "studies" / "other.yaml", data={**TINY["data"], "num_users": 41})
    do(tuned_copy, "run --study other --model item_knn --trials 1 -q")
    return tuned_copy


def test_a_member_of_other_data_is_refused(of_other_data: Path):
    """The error names it and both hashes; no study is stored, so that the right members may be named then."""
    theirs, own = (
        load(of_other_data, study).study.user_attrs["fingerprint"]["data"]
        for study in ("other-item_knn", "tiny")
    )
    said = refused(of_other_data, f"{COMBINATION} --members tiny,other-item_knn --trials 1")
    assert (
        said
        == f"Error: member other-item_knn: was trained on other data (hash {theirs[:12]}, not {own[:12]}).\n"
    )
    assert not is_stored(of_other_data)
    do(of_other_data, f"{COMBINATION} --members tiny,tiny-item_knn --trials 1 -q")


@pytest.mark.slow
def test_a_member_of_long_windows_fails_no_trial(tuned_copy: Path):
    """One that sees more steps than a combination does by default is taken as it is, or refused before a trial."""
    space = {**TINY["space"], "model": {**TINY["space"]["model"], "max_length": 60}}
    write_study(tuned_copy / "studies" / "long.yaml", space=space, search={"trials": 1})
    do(tuned_copy, "run --study long -q")
    ended = call(
        *COMBINATION.split(), "--members", "long,tiny-item_knn", "--trials", "1", cwd=tuned_copy
    )
    assert ended.code in (0, 2), ended.err
    assert is_stored(tuned_copy) == (ended.code == 0)


# --- weights of its own ---


def test_a_combination_needs_its_members_studies_no_more(combined_copy: Path):
    """Once it is made, their weights may go: it goes on, its trials are reproduced, and it is exported."""
    for study in ("tiny-item_knn", "tiny-ials", "tiny"):
        shutil.rmtree(combined_copy / "results" / study / "trials")
    do(combined_copy, f"{SAME} --add 1 -q")
    assert [row["state"] for row in trials(combined_copy, NAME)] == ["complete"] * (TRIALS + 1)
    again = anew(combined_copy, f"reproduce 0 -s {NAME} -f json")
    assert json.loads(again.out)["largest_difference"] == 0.0
    assert anew(combined_copy, f"export-best -s {NAME} --rule best -q").code == 0
    assert (combined_copy / "results" / NAME / "best" / "weights.safetensors").exists()


def test_a_copy_that_was_removed_is_made_again(combined_copy: Path):
    """As long as the member's own weights are what they were; else the run is refused."""
    first = copies(combined_copy)[0]
    content = first.read_bytes()
    first.unlink()
    do(combined_copy, f"{SAME} --trials {TRIALS} -q")
    assert first.read_bytes() == content
    first.unlink()
    study, number = kept(combined_copy)[0]
    flip(load(combined_copy, study).folder.trial(number).weights)
    said = refused(combined_copy, f"{SAME} --trials {TRIALS}")
    assert f"trials/{number}/best.safetensors: must hold a member's weights as they were" in said


def flip(path: Path) -> None:
    """Change the last bit."""
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))


def test_weights_that_were_tampered_with_are_refused(combined_copy: Path):
    """Neither is a trial reproduced nor a bundle written, no test row is opened, and the error names the file."""
    flip(copies(combined_copy)[1])
    for words in (f"reproduce 0 -s {NAME}", f"export-best -s {NAME} --rule best -q"):
        ended = anew(combined_copy, words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert (
            f"results/{NAME}/members/1.safetensors: must hold a member's weights as they were"
            in ended.err
        )
    assert not (combined_copy / "results" / NAME / "best").exists()
    assert not (combined_copy / "results" / NAME / "ledger.jsonl").exists()


def test_a_run_mends_a_copy_that_was_damaged(combined_copy: Path):
    """A damaged copy is made again from the member's study, with a warning."""
    flip(copies(combined_copy)[1])
    ended = call(*SAME.split(), "--add", "1", cwd=combined_copy)
    assert len(trials(combined_copy, NAME)) == TRIALS + 1
    assert (ended.code, f"results/{NAME}/members/1.safetensors: was damaged" in ended.err) == (
        0,
        True,
    )

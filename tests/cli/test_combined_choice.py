"""The choice and the final model of a combination: reproduced, confirmed, exported."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.combined import NAME, TRIALS, best, kept
from tests.cli.program import do
from tests.cli.test_classical import recommended, refused, trials, write_histories

# --- a choice and a final model ---


def test_trials_of_a_combination_are_reproduced_to_the_bit(combined: Path):
    """From the copied weights each trial gives the very figures that it stored."""
    for number in range(TRIALS):
        again = do(combined, f"reproduce {number} -s {NAME} -f json")
        assert json.loads(again.out) == {
            "trial": number,
            "epochs": 1,
            "largest_difference": 0.0,
            "changed": [],
            "written": [],
        }


def test_a_combination_is_confirmed_over_users(combined_copy: Path):
    """No seed changes fixed members: one run a candidate, and it gives what the search saw."""
    said = json.loads(do(combined_copy, f"confirm -s {NAME} --top 2 --seeds 3 -q -f json").out)
    assert said["over"] == "users"
    assert [row["state"] for row in trials(combined_copy, f"{NAME}.runs")] == ["complete"] * 2
    for candidate in said["candidates"]:
        assert candidate["mean"] == pytest.approx(candidate["search"], abs=1e-6)
    assert set(said["verdict"]) == {"baseline", "difference", "low", "high", "is_above", "words"}


@pytest.fixture(scope="module")
def exported(combined: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle, best, and histories; the program has checked that it scores as the model does."""
    folder = tmp_path_factory.mktemp("exported")
    ended = do(combined, f"export-best -s {NAME} --rule best --out {folder / 'best'} -f json -q")
    (folder / "facts.json").write_text(ended.out)
    write_histories(folder)
    return folder


def test_a_combination_is_one_bundle(combined: Path, exported: Path):
    """It has the figures of the best trial, names its members, and needs none of their files."""
    facts = json.loads((exported / "facts.json").read_text())
    row = trials(combined, NAME)[facts["trial"]]
    assert (facts["trial"], facts["valid"]["ndcg@10"]) == (best(combined, NAME), row["value"])
    members = [f"{study}:{number}" for study, number in kept(combined)]
    assert json.loads((exported / "best" / "provenance.json").read_text())["members"] == members
    card = (exported / "best" / "README.md").read_text(encoding="utf-8")
    assert f"- members: {', '.join(members)}\n" in card
    assert recommended(exported).keys() == {"1", "2"}


def test_a_combinations_bundle_recommends(exported: Path):
    """Five items a user, best first, none of which is in the history."""
    printed = do(exported, "recommend --bundle best --users users.csv -k 5 -q").out
    rows = list(csv.DictReader(io.StringIO(printed)))
    scores = {
        user: [float(row["score"]) for row in rows if row["user"] == user] for user in ("1", "2")
    }
    assert scores == {user: sorted(some, reverse=True) for user, some in scores.items()}
    found = recommended(exported)
    assert {user: len(set(items)) for user, items in found.items()} == {"1": 5, "2": 5}
    assert not {"3", "9"} & set(found["1"])


def test_members_cannot_be_trained_on_validation_rows(combined: Path, tmp_path: Path):
    """--with-valid is refused before anything is fitted, opened or written."""
    said = refused(
        combined, f"export-best -s {NAME} --rule best --with-valid --out {tmp_path / 'out'} -q"
    )
    assert (
        said
        == "Error: --with-valid: the members of a combination were fitted before, to train rows.\n"
    )
    assert list(tmp_path.iterdir()) == []

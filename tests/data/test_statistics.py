"""Statistics of a data set."""

import json
from pathlib import Path

import pytest

from blade_tune.data.sealed import count_sealed
from blade_tune.data.statistics import describe
from blade_tune.data.store import SearchData, prepare
from tests.data.examples import config, write_split


def test_tiny_by_hand(tmp_path: Path) -> None:
    """Every number of a data set that can be counted by hand."""
    files = write_split(
        tmp_path / "files", train=["3,10,1,1,0,0", "8,20,0,0,1,0", "3,10,0,1,0,0", "3,40,1,0,0,0"]
    )
    data = prepare(config(), files, tmp_path)
    assert describe(data, count_sealed(data, files)) == {
        "users": 2,
        "items": 3,
        "interactions": 8,
        "parts": {"train": 4, "valid": 2, "between": 1, "test": 1},
        "behaviors": {"click": 2, "like": 2, "share": 1, "follow": 0},
        "set_sizes": {"1": 3, "2": 1, "3": 0, "4": 0},
        "pairs": {
            "click-like": 1,
            "click-share": 0,
            "click-follow": 0,
            "like-share": 0,
            "like-follow": 0,
            "share-follow": 0,
        },
        "length": {"min": 1, "median": 2.0, "mean": 2.0, "p90": pytest.approx(2.8), "max": 3},
        "repeated_items": 1,
        "targets_in_history": {"valid": 2},
        "long_tail_users": 1,
        "dropped": {
            f"{part}_{why}": 0
            for part in ("train", "valid")
            for why in ("empty_set", "unseen_user", "unseen_item")
        },
    }


def test_head_and_tail_only_where_asked(tmp_path: Path) -> None:
    """Without long-tail behaviors there are no tail users to count."""
    data = prepare(config(long_tail=[]), write_split(tmp_path / "files"), tmp_path)
    assert "long_tail_users" not in describe(data, {})


def test_qk_video_is_the_published_one(qk: SearchData, qk_directory: Path) -> None:
    """Our reading of QK-Video has the numbers of the paper's Table 2 and of the files."""
    facts = describe(qk, count_sealed(qk, qk_directory))
    mean = facts["length"].pop("mean")
    assert mean == pytest.approx(26.3, abs=0.05)
    assert facts == {
        "users": 5081,
        "items": 20494,
        "interactions": 150396,
        "parts": {"train": 133468, "valid": 4867, "between": 7211, "test": 4850},
        "behaviors": {"click": 93302, "like": 67700, "share": 5846, "follow": 4264},
        "set_sizes": {"1": 98152, "2": 33052, "3": 2200, "4": 64},
        "pairs": {
            "click-like": 30689,
            "click-share": 2431,
            "click-follow": 2002,
            "like-share": 2422,
            "like-follow": 2168,
            "share-follow": 324,
        },
        "length": {"min": 3, "median": 19, "p90": 55, "max": 215},
        "repeated_items": 101,
        "targets_in_history": {"valid": 8},
        "long_tail_users": 1,
        "dropped": dict.fromkeys(qk.dropped, 0),
        "published": [
            "5,081 users, as published",
            "20,494 items, as published",
            "150,396 interactions, as published",
        ],
    }
    assert json.loads(json.dumps(facts)) == facts


def test_qk_video_has_the_known_fill(qk: SearchData) -> None:
    """113,410 of the 5,081 x 50 steps are real; ids are already 1..V, so numbering changes none."""
    assert int(qk.windows("train", 50).lengths_U.sum()) == 113410
    assert qk.item_ids_V.tolist() == list(range(20495))
    assert qk.user_ids_U.tolist() == list(range(5082))

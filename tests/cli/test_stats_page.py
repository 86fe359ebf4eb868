"""The page of `data stats`: few lines, in groups, that say what `-f json` says."""

from typing import Any

import pytest

from blade_tune.cli.data_page import WIDTH, stats_page
from tests.cli.program import call

FACTS: dict[str, Any] = {
    "users": 1_234,
    "items": 56,
    "interactions": 7_890,
    "parts": {"train": 7_000, "valid": 400, "between": 90, "test": 400},
    "behaviors": {"view": 6_000, "buy": 2_000},
    "set_sizes": {"1": 6_000, "2": 1_000},
    "pairs": {"view-buy": 1_000},
    "length": {"min": 1, "median": 5.0, "mean": 5.67, "p90": 12.0, "max": 80},
    "repeated_items": 3,
    "targets_in_history": {"valid": 2},
    "dropped": {"train_empty_set": 0, "valid_unseen_item": 4},
    "baselines": {"valid": {"popularity": {"ndcg@10": 0.1}, "item_knn": "too many items"}},
    "studies": [],
}


def page(auxiliary: Any = "view", **more: Any) -> str:
    return stats_page({**FACTS, **more}, "shop", auxiliary, "ndcg@10")


def test_what_the_page_says() -> None:
    """A title and a group a line, without what is not there."""
    assert page().splitlines() == [
        "shop: 1,234 users, 56 items, 7,890 interactions",
        "behaviors    view 6,000, buy 2,000 (view is no target); sets of 1 85.7%, 2 14.3%",
        "a user       1 to 80 train rows, median 5, mean 5.7, 90% have at most 12; 3 met an item again",
        "split        train 7,000, valid 400, between 90, test 400 rows; test and between are sealed; 2 valid items",
        "             were met before, which no ranking can hit; left out: valid unseen item 4",
        "baselines    ndcg@10 on valid rows, untuned: popularity 0.1000, item_knn not: too many items",
        "studies      none was run on these rows here",
        "all figures: -f json",
    ]


@pytest.mark.parametrize(
    ("auxiliary", "shown"),
    [(None, ";"), (("view", "cart"), " (view and cart are no targets);")],
)
def test_the_page_says_what_is_no_target(auxiliary: Any, shown: str) -> None:
    """None, or several behaviors."""
    assert f"view 6,000, buy 2,000{shown} sets" in page(auxiliary)


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        ("1767225600", "1767225601.5", "2026-01-01 00:00:00 UTC to 2026-01-01 00:00:01 UTC"),
        ("1767225600000", "1767225601000", "2026-01-01 00:00:00 UTC to 2026-01-01 00:00:01 UTC"),
        ("1767225600000000000", "1e400", "2026-01-01 00:00:00 UTC to 1e400"),
        ("17", "2026-01-01 10:00", "17 to 2026-01-01 10:00"),
        ("-5", "nan", "-5 to nan"),
    ],
)
def test_times_are_dates_where_they_must_be(first: str, last: str, shown: str) -> None:
    """Seconds, milliseconds, ... since 1970 are dates; small numbers and texts stand as in the log."""
    assert f"\ntime         {shown}\n" in page(time_span={"first": first, "last": last})


def test_lines_are_short_and_harmless() -> None:
    """Names of a log neither break lines nor reach the terminal as controls."""
    shown = page(behaviors={f"b{k} \x1b[2J": 10**6 for k in range(40)}, license="a\nb")
    assert all(len(line) <= WIDTH for line in shown.splitlines())
    assert "\x1b" not in shown


def test_the_demo_fits_a_screen(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The command prints the page; CSV has a row a figure, as before."""
    ended = call("data", "stats", "--study", "demo", cwd=tmp_path)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith("demo: ")
    assert len(lines) < 24
    rows = call("data", "stats", "--study", "demo", "-f", "csv", cwd=tmp_path).out
    assert rows.startswith("fact,value\nusers,")

"""The recipe again, in plain loops over plain rows: what a prepared folder must hold."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from blade_tune.data.raw.settings import Recipe

# User, item, moment, behaviors; None where nothing stands
Row = tuple[Any, Any, Any, frozenset[str]]
SEEN = frozenset({"only seen"})  # the behaviors of a row by which a user only knows an item


@dataclass
class Expected:
    """Rows (user, item, behaviors) by part, each user's in order of time, and what was left out."""

    parts: dict[str, list[tuple[Any, Any, frozenset[str]]]] = field(
        default_factory=lambda: {"train": [], "valid": [], "between": [], "test": []}
    )
    left_out: Counter[str] = field(default_factory=Counter)


def interactions(
    rows: Sequence[Row], *, merges: bool, keep_repeats: bool, left_out: Counter[str]
) -> list[Row]:
    """Steps 1 to 3."""
    usable = []
    for user, item, moment, behaviors in rows:
        if user is None:
            left_out["no_user"] += 1
        elif item is None:
            left_out["no_item"] += 1
        elif moment is None:
            left_out["no_time"] += 1
        elif behaviors == SEEN:
            left_out["seen_only"] += 1
        elif not behaviors:
            left_out["empty"] += 1
        else:
            usable.append((user, item, moment, behaviors))
    if merges:
        merged: dict[tuple[Any, Any, Any], frozenset[str]] = {}
        for user, item, moment, behaviors in usable:
            merged[user, item, moment] = merged.get((user, item, moment), frozenset()) | behaviors
        left_out["merged"] = len(usable) - len(merged)
        usable = [(*key, behaviors) for key, behaviors in merged.items()]
    usable.sort(key=lambda row: row[2])
    met, kept = set(), []
    for user, item, moment, behaviors in usable:
        if (user, item, behaviors) in met and not keep_repeats:
            left_out["repeated"] += 1
        else:
            met.add((user, item, behaviors))
            kept.append((user, item, moment, behaviors))
    return kept


def expected_split(
    rows: Sequence[Row],
    auxiliary: str | Sequence[str] | None,
    recipe: Recipe,
    *,
    merges: bool,
    keep_repeats: bool = False,
) -> Expected:
    """All steps."""
    expected = Expected()
    no_targets = {auxiliary} if isinstance(auxiliary, str) else set(auxiliary or ())
    left = interactions(rows, merges=merges, keep_repeats=keep_repeats, left_out=expected.left_out)

    def is_target(row: Row) -> bool:
        return bool(row[3] - no_targets)

    while True:
        before = len(left)
        for column, least, reason in (
            (1, recipe.min_item_targets, "rare_item"),
            (0, recipe.min_user_targets, "rare_user"),
        ):
            counts = Counter(row[column] for row in left if is_target(row))
            kept = [row for row in left if counts[row[column]] >= least]
            expected.left_out[reason] += len(left) - len(kept)
            left = kept
        if not recipe.until_stable or len(left) == before:
            break
    users = sorted({row[0] for row in left})
    if recipe.sample_users is not None:
        drawn = sorted(
            users, key=lambda user: hashlib.md5(f"{recipe.seed} {user}".encode()).hexdigest()
        )
        users = sorted(drawn[: recipe.sample_users])
        expected.left_out["not_sampled"] = sum(row[0] not in users for row in left)
    for user in users:
        history = [row for row in left if row[0] == user]
        targets = [place for place, row in enumerate(history) if is_target(row)]
        for place, row in enumerate(history):
            if len(targets) < 2 or place < targets[-2]:
                part = "train"
            elif place == targets[-2]:
                part = "valid"
            elif place < targets[-1]:
                part = "between"
            elif place == targets[-1]:
                part = "test"
            else:
                expected.left_out["after_test"] += 1
                continue
            expected.parts[part].append((row[0], row[1], row[3]))
    known_users = {user for user, _, _ in expected.parts["train"]}
    known_items = {item for _, item, _ in expected.parts["train"]}
    for part in ("valid", "between", "test"):
        rows_of_part, expected.parts[part] = expected.parts[part], []
        for row in rows_of_part:
            if row[0] not in known_users:
                expected.left_out[f"{part}_unseen_user"] += 1
            elif row[1] not in known_items:
                expected.left_out[f"{part}_unseen_item"] += 1
            else:
                expected.parts[part].append(row)
    return expected

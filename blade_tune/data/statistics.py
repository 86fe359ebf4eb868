"""Descriptive statistics of a data set: its counts, behaviors, lengths of histories and dropped rows."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blade_tune.data.reference_statistics import differences
from blade_tune.data.store import SearchData

# A user with a larger share of long-tail behaviors is a tail user (BLADE, Figure 4)
TAIL_SHARE = 0.8


def describe(
    search: SearchData, sealed_counts: Mapping[str, int], origin: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Return the statistics of a data set as plain data.

    Args:
        search: the prepared data.
        sealed_counts: numbers of between and test rows, from `count_sealed`.
        origin: what the source knows of where the data comes from, from `Source.origin`.

    Returns:
        Statistics by name. Those of all parts are `parts` and `interactions`; the others are of train rows, or of the
        part that their key names.
    """
    parts = {"train": len(search.train), "valid": len(search.valid), **sealed_counts}
    lengths_U = np.bincount(search.train.users_N)[1:]
    facts: dict[str, Any] = {
        "users": search.num_users,
        "items": search.num_items,
        "interactions": sum(parts.values()),
        "parts": parts,
        **_behavior_counts(search),
        "length": {
            "min": int(lengths_U.min()),
            "median": float(np.median(lengths_U)),
            "mean": float(lengths_U.mean()),
            "p90": float(np.percentile(lengths_U, 90)),
            "max": int(lengths_U.max()),
        },
        "repeated_items": _users_with_repeats(search),
        "targets_in_history": {"valid": _valid_items_in_history(search)},
    }
    if search.config.long_tail:
        facts["long_tail_users"] = int(tail_users(search).sum())
    facts["dropped"] = search.dropped

    # Where the data comes from, and how it differs from what was published
    if "rows" in origin:
        facts["log"] = {"rows": origin["rows"], "left_out": origin["left_out"]}
    if "source" in origin:
        files = origin.get("version", {}).get("files", [origin["source"]])
        names, size = (
            " + ".join(file["file"] for file in files),
            sum(file["bytes"] for file in files),
        )
        facts["source"] = f"{names}, {size:,} bytes"
    if "time_span" in origin:
        facts["time_span"] = dict(origin["time_span"])
    published = differences(search.config.name, facts)
    if published:
        facts["published"] = published
    for name in ("best_reachable", "license"):
        if name in origin:
            facts[name] = origin[name]
    return facts


def _behavior_counts(search: SearchData) -> dict[str, dict[str, int]]:
    """Return the numbers of train rows by behavior, by size of the set, and by pair of behaviors."""
    names = search.config.behaviors
    pairs_KK = search.catalog.pair_counts_KK
    sizes_N = search.train.sets_NK.sum(axis=1, dtype=np.int64)
    counts_by_size = np.bincount(sizes_N, minlength=len(names) + 1)
    pairs = {}
    for a, b in combinations(range(len(names)), 2):
        pairs[f"{names[a]}-{names[b]}"] = int(pairs_KK[a, b])
    return {
        "behaviors": {name: int(pairs_KK[k, k]) for k, name in enumerate(names)},
        "set_sizes": {str(size): int(counts_by_size[size]) for size in range(1, len(names) + 1)},
        "pairs": pairs,
    }


def _users_with_repeats(search: SearchData) -> int:
    """Return the number of users who met some item more than once."""
    keys_N = search.user_item_keys()
    num_items_U = np.bincount(keys_N // (search.num_items + 1))
    num_rows_U = np.bincount(search.train.users_N)
    return int((num_rows_U > num_items_U).sum())


def _valid_items_in_history(search: SearchData) -> int:
    """Return the number of valid rows that no ranking can hit, for their item was met before and is not ranked."""
    valid = search.valid
    keys_N = valid.users_N.astype(np.int64) * (search.num_items + 1) + valid.items_N
    return int(np.isin(keys_N, search.user_item_keys()).sum())


def tail_users(search: SearchData) -> NDArray[np.bool_]:
    """Return the mask of tail users, by internal id: more than TAIL_SHARE of their behaviors are long-tail ones."""
    all_U, tail_U = _behaviors_of_users(search)
    return np.asarray(tail_U > TAIL_SHARE * all_U)


def tail_shares(search: SearchData) -> NDArray[np.float64]:
    """Return which share of each user's behaviors in train rows are long-tail ones, by internal id; 0 for padding."""
    all_U, tail_U = _behaviors_of_users(search)
    return tail_U / np.maximum(all_U, 1.0)


def _behaviors_of_users(
    search: SearchData,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the number of behaviors of each user in train rows, of any kind and of the long tail."""
    users_N, sets_NK = search.train.users_N, search.train.sets_NK
    columns = [search.config.behaviors.index(name) for name in search.config.long_tail]
    all_U = np.bincount(users_N, weights=sets_NK.sum(axis=1))
    tail_U = np.bincount(users_N, weights=sets_NK[:, columns].sum(axis=1))
    return all_U.astype(np.float64), tail_U.astype(np.float64)

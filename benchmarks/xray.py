"""How often `data xray` is right on made-up data, whose law has order, sets and recency or does without.

    python benchmarks/xray.py                      # 104 data sets: each of the eight laws 13 times
    python benchmarks/xray.py --users 1000         # and with fewer users

Items of a cluster are equally popular in every other data set of a law, so that popularity tells nothing there. No law
has repeats, and in none the set of an item tells which item it is. A Markdown table comes out, and a line for each
verdict that is wrong; "too few users to tell" is wrong of what the law has, and no false alarm of what it has not.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from blade_tune.data.config import data_config
from blade_tune.data.store import prepare
from blade_tune.xray.measure import measure

THINGS = ("order", "sets", "recency")
LAWS = [
    tuple(t for t, is_off in zip(THINGS, off, strict=True) if is_off)
    for off in product((False, True), repeat=3)
]
NAMES = ("order", "recency", "sets", "told_set", "repeats", "popularity")
VERDICTS = ("matters", "too few users to tell", "does not show")
WINDOW = 50
BEHAVIORS = {"behaviors": ["click", "like", "share", "follow"], "auxiliary": "click"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--sets", type=int, default=104, help="data sets in all")
    parser.add_argument("--first", type=int, default=1_000, help="seed of the first one")
    options = parser.parse_args()
    counts: Counter[tuple[str, str, bool]] = Counter()
    right: Counter[tuple[tuple[str, ...], str]] = Counter()
    of_law: Counter[tuple[str, ...]] = Counter()
    start = time.perf_counter()
    for number in range(options.sets):
        law, seed = LAWS[number % len(LAWS)], options.first + number
        is_skewed = number // len(LAWS) % 2 == 0
        of_law[law] += 1
        for name, verdict, matters in verdicts(law, seed, options.users, options.items, is_skewed):
            counts[name, verdict, matters] += 1
            right[law, name] += (verdict == "matters") == matters
            if (verdict == "matters") != matters:
                print(
                    f"seed {seed}, without {', '.join(law) or 'nothing'}: {name} {verdict}",
                    flush=True,
                )
    print(f"\n{options.users:,} users, {options.items} items, {options.sets} data sets, ", end="")
    print(f"{(time.perf_counter() - start) / options.sets:.1f} s each\n")
    print("\n".join(table(counts)) + "\n")
    print("\n".join(by_law(right, of_law)))


def verdicts(
    law: tuple[str, ...], seed: int, users: int, items: int, is_skewed: bool
) -> Iterator[tuple[str, str, bool]]:
    """Each finding's name and verdict, and whether the law has the thing."""
    section = {
        "source": "synthetic",
        "name": "planted",
        **BEHAVIORS,
        "num_users": users,
        "num_items": items,
        "num_clusters": 10,
        "min_length": 6,
        "max_length": 14,  # so few that no cluster is exhausted, for then items would be met again
        "skew": 0.5 if is_skewed else 0.0,
        "without": list(law),
        "seed": seed,
    }
    there = {name: name in THINGS and name not in law for name in NAMES} | {"popularity": is_skewed}
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(data_config(section, "planted"), None, Path(folder))
        for name, finding in measure(data, "window", WINDOW).items():
            yield name, finding.verdict, there[name]


def table(counts: Counter[tuple[str, str, bool]]) -> Iterator[str]:
    """A row a finding."""
    yield "| | in the law: found | too few to tell | missed | not in it: false alarms | too few to tell |"
    yield "|---|---|---|---|---|---|"
    for name in NAMES:
        cells = []
        for matters in (True, False):
            found, few, none = (counts[name, verdict, matters] for verdict in VERDICTS)
            total = found + few + none
            shown = [f"{found} of {total}", str(few), *([str(none)] if matters else [])]
            cells += shown if total else ["" for _ in shown]
        yield f"| `{name}` | {' | '.join(cells)} |"


def by_law(
    right: Counter[tuple[tuple[str, ...], str]], of_law: Counter[tuple[str, ...]]
) -> Iterator[str]:
    """A row a law: how many verdicts were right, matters or not."""
    yield f"| law | {' | '.join(f'`{name}`' for name in NAMES)} |"
    yield "|---|" + "---|" * len(NAMES)
    for law, count in of_law.items():
        cells = [f"{right[law, name]} of {count}" for name in NAMES]
        yield f"| {'without ' + ', '.join(law) if law else 'with all'} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

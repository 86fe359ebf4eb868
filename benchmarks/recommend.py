"""Users a second that a bundle recommends to, in Python from histories in memory and on the command line from Parquet.

    OMP_NUM_THREADS=2 python benchmarks/recommend.py [--users 20000] [--device cpu] [--large]

Models are untrained, of their default size, on a catalog of QK-Video's size; histories have 26 interactions on average,
as there. Prints a table of medians. `--large` adds a catalog of a million items.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import torch

from blade_tune.catalog import Catalog
from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.settings import LogFormat
from blade_tune.export.histories import read_histories
from blade_tune.export.output import write_recommendations
from blade_tune.export.recommender import Recommender
from blade_tune.models.build import build_model

BEHAVIORS = ("click", "like", "share", "follow")
PROBS = np.array([0.7, 0.5, 0.05, 0.03])
KNOWN_USERS, ITEMS, LARGE, LENGTH, K = 5_081, 20_494, 1_000_000, 26, 10
SHOWN = ("blade", "sasrec", "eidp", "mbht", "dymus")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--large", action="store_true", help="a million items too")
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}, {options.users:,} users"
    )
    print(
        "| model | items | ranked users a second | read from Parquet, s | written to Parquet, s |"
    )
    print("|---|---|---|---|---|")
    for num_items in (ITEMS, LARGE) if options.large else (ITEMS,):
        for name in SHOWN if num_items == ITEMS else SHOWN[:1]:
            measure(name, num_items, options)


def measure(name: str, num_items: int, options: argparse.Namespace) -> None:
    recommender = made(name, num_items, options.device)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "users.parquet"
        write_log(log, options.users, num_items)
        reading, histories = timed(
            lambda: read_histories([LogPart(log, recommender.log)], recommender.item_numbers),
            options.runs,
        )
        ranking, found = timed(lambda: recommender.rank(histories, None, K), options.runs)
        out = Path(folder) / "found.parquet"
        writing, _ = timed(
            lambda: write_recommendations(
                found, histories.users, recommender.items, recommender.log, out
            ),
            options.runs,
        )
    print(
        f"| {name} | {num_items:,} | {options.users / ranking:,.0f} | {reading:.2f} | {writing:.2f} |",
        flush=True,
    )


def timed(call, runs):
    """The median of some runs, and what the last gave."""
    seconds = []
    for _ in range(runs):
        start = time.monotonic()
        result = call()
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds), result


def made(name: str, num_items: int, device: str) -> Recommender:
    counts_K = (PROBS * KNOWN_USERS * LENGTH).astype(np.int64)
    catalog = Catalog(KNOWN_USERS, num_items, BEHAVIORS, (0,), counts_K, np.diag(counts_K))
    model = build_model(name, {}, catalog, name).eval().to(device)
    log = LogFormat(user="user", item="item", time="time", behaviors=BEHAVIORS, columns=BEHAVIORS)
    users, items = (list(map(str, range(1, number + 1))) for number in (KNOWN_USERS, num_items))
    return Recommender(model, log, users, items)


def write_log(path: Path, num_users: int, num_items: int) -> None:
    random = np.random.default_rng(0)
    lengths_U = 1 + random.geometric(1 / (LENGTH - 1), num_users)
    size = int(lengths_U.sum())
    sets_NK = random.random((size, len(BEHAVIORS))) < PROBS
    sets_NK[:, 0] |= ~sets_NK.any(axis=1)
    table = {
        "user": np.repeat(np.arange(1, num_users + 1), lengths_U),
        "item": 1 + (num_items * random.random(size) ** 2).astype(np.int64),
        "time": np.arange(size),
        **{name: sets_NK[:, k].astype(np.int8) for k, name in enumerate(BEHAVIORS)},
    }
    with duckdb.connect() as database:
        database.register("log", table)
        database.execute(f"COPY (SELECT * FROM log) TO '{path}' (FORMAT parquet)")


if __name__ == "__main__":
    main()

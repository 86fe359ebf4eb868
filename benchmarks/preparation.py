"""Seconds and memory of preparing a log in Tenrec's format: ours (duckdb) against the same recipe in polars, streaming.

    pip install polars
    python benchmarks/preparation.py --rows 70500000 --folder /tmp/preparation
    python benchmarks/preparation.py --rows 493458970 --folder /tmp/preparation     # the size of QK-video.csv, 14.4 GiB

Makes the log in the folder unless it is there: shares of behaviors as in QK-video.csv, skewed users and items, as many
to a row as there. Each way runs in a process of its own, and both must write the same bytes. Prints a table.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb

from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.prepare import Preparation, prepare
from blade_tune.data.raw.settings import Recipe
from blade_tune.data.sources.split_files import FILES

ROWS, USERS, ITEMS = 493_458_970, 5_022_750, 3_753_436  # of QK-video.csv
BEHAVIORS = ("click", "like", "share", "follow")
PROBS = {"click": 0.288, "follow": 0.0017, '"like"': 0.0205, "share": 0.0022}
LEAST = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=70_500_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ways", default="duckdb,polars")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    log = options.folder / f"{options.rows}" / "QK-video.csv"
    if options.way:
        run(options.way, log, options.folder / options.way)
        return
    if not log.exists():
        generate(options.rows, log)
    print(f"{log.stat().st_size / 2**30:.1f} GiB, {options.rows:,} rows, {os.cpu_count()} cores")
    print("| way | version | seconds | peak memory, GB | sha256 of train.txt |")
    print("|---|---|---|---|---|")
    for way in options.ways.split(","):
        words = [
            sys.executable,
            __file__,
            "--rows",
            str(options.rows),
            "--folder",
            str(options.folder),
            "--way",
            way,
        ]
        found = json.loads(
            subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[
                -1
            ]
        )
        train = (options.folder / way / FILES["train"]).read_bytes()
        checksum = hashlib.sha256(train).hexdigest()[:12]
        print(
            f"| {way} | {found['version']} | {found['seconds']:.0f} | {found['gigabytes']:.2f} | {checksum} |"
        )


def generate(rows: int, log: Path) -> None:
    """Every value is a hash of its row, so the same number of rows gives the same file."""
    log.parent.mkdir(parents=True, exist_ok=True)

    def uniform(stream: int) -> str:
        return f"hash(r * 7 + {stream}) / 18446744073709551616.0"

    users, items = USERS * rows / ROWS, ITEMS * rows / ROWS
    flags = ", ".join(
        f"({uniform(k)} < {prob})::INT AS {name}" for k, (name, prob) in enumerate(PROBS.items(), 2)
    )
    part = log.with_suffix(".part")
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT (1 + {users} * pow({uniform(0)}, 1.5))::BIGINT AS user_id, "
            f"(1 + {items} * pow({uniform(1)}, 2.5))::BIGINT AS item_id, {flags}, "
            f"({uniform(6)} * 30)::INT AS video_category, ({uniform(8)} * 5)::INT AS watching_times, "
            "(hash(r * 7 + 9) % 3)::INT AS gender, "
            "CASE WHEN hash(r * 7 + 10) % 50 = 0 THEN '\\N' ELSE (hash(r * 7 + 11) % 8)::VARCHAR END AS age "
            f"FROM range({rows}) t(r)) TO '{part}' (FORMAT csv, HEADER)"
        )
    part.rename(log)


def run(way: str, log: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    start = time.monotonic()
    version = {"duckdb": by_duckdb, "polars": by_polars}[way](log, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"version": version, "seconds": time.monotonic() - start, "gigabytes": peak}))


def by_duckdb(log: Path, out: Path) -> str:
    known = KNOWN_LOGS["qk-video"]
    prepare(
        Preparation(
            "qk-video", (LogPart(log, known.form),), known.auxiliary, Recipe(), known.license
        ),
        out,
        lambda words, _: print(words, file=sys.stderr),
    )
    return duckdb.__version__


def by_polars(log: Path, out: Path) -> str:
    import polars as pl

    out.mkdir(parents=True)
    bits = [
        pl.when(pl.col(b).is_in(["1", "True", "true"])).then(1 << k).otherwise(0)
        for k, b in enumerate(BEHAVIORS)
    ]
    mask = pl.reduce(lambda a, b: a | b, [bit.cast(pl.UInt8) for bit in bits])

    def streamed(frame: pl.LazyFrame, name: str) -> pl.LazyFrame:
        frame.sink_parquet(out / name, engine="streaming")
        return pl.scan_parquet(out / name)

    def common(frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
        return (
            frame.filter(targets)
            .group_by(column)
            .len()
            .filter(pl.col("len") >= LEAST)
            .select(column)
        )

    targets = pl.col("mask") & 14 > 0
    rows = pl.scan_csv(log, infer_schema=False, row_index_name="position")
    ids = (pl.col("user_id").cast(pl.Int64), pl.col("item_id").cast(pl.Int64))
    met = streamed(
        rows.select(*ids, mask.alias("mask"), "position").filter(pl.col("mask") > 0), "rows"
    )
    met = streamed(met.group_by("user_id", "item_id", "mask").agg(pl.col("position").min()), "met")
    met = streamed(met.join(common(met, "item_id"), on="item_id", how="semi"), "of_items")
    met = streamed(met.join(common(met, "user_id"), on="user_id", how="semi"), "of_users")
    newest = (
        met.filter(targets)
        .group_by("user_id")
        .agg(pl.col("position").top_k(2).sort(descending=True))
    )
    cut = newest.select(
        "user_id", test=pl.col("position").list.get(0), valid=pl.col("position").list.get(1)
    )
    position = pl.col("position")
    part = pl.when(position < pl.col("valid")).then(0).when(position == pl.col("valid")).then(1)
    part = (
        part.when(position < pl.col("test"))
        .then(2)
        .when(position == pl.col("test"))
        .then(3)
        .otherwise(4)
    )
    parts = met.join(cut, on="user_id").with_columns(part=part).collect(engine="streaming")
    for column in ("user_id", "item_id"):
        ids_of = parts.filter(pl.col("part") == 0).select(pl.col(column).unique().sort())
        parts = parts.join(ids_of.with_row_index(f"number_{column}", offset=1), on=column)
    parts = parts.sort("number_user_id", "position")
    flags = [(pl.col("mask") // (1 << k) % 2).alias(b) for k, b in enumerate(BEHAVIORS)]
    for number, name in enumerate(FILES.values()):
        of_part = parts.filter(pl.col("part") == number).select(
            "number_user_id", "number_item_id", *flags
        )
        of_part.write_csv(out / name, include_header=False)
    return pl.__version__


if __name__ == "__main__":
    main()

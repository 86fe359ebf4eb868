"""Seconds and memory of what item tables start from, each in a process of its own.

    python benchmarks/starts.py --data DIR        # QK-Video
    python benchmarks/starts.py --large           # made-up data: 10 million interactions with 200,000 items

The peak is that of the process, with torch and the mapped data in it.
"""

import argparse
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
from classical import LARGE, QK_VIDEO
from threadpoolctl import threadpool_limits

from blade_tune.data.config import data_config
from blade_tune.data.store import prepare
from blade_tune.models.item_factors import FACTORS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of QK-Video's split files")
    parser.add_argument("--large", action="store_true", help="made-up data")
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 64])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.large and options.data is None:
        parser.error("give --data or --large")
    if options.only:
        name, size = options.only
        torch.set_num_threads(options.threads)
        print(json.dumps(measure(name, int(size), options)))
        return
    prepare(
        data_config(LARGE if options.large else QK_VIDEO, "data"), options.data, Path("results")
    )
    print(f"torch {torch.__version__}, {options.threads} threads\n")
    print("| item_init | width | s | peak, GB |")
    print("|---|---|---|---|")
    for name, size in product(FACTORS, options.sizes):
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name, str(size)]
        figures = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        )
        print(f"| {name} | {size} | {figures['seconds']:.1f} | {figures['peak']:.2f} |", flush=True)


def measure(name: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Find factors once."""
    data = prepare(
        data_config(LARGE if options.large else QK_VIDEO, "data"), options.data, Path("results")
    )
    start = time.perf_counter()
    with threadpool_limits(1, "blas"):
        FACTORS[name](data.train, data.catalog, size)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": getrusage(RUSAGE_SELF).ru_maxrss / 1e6}


if __name__ == "__main__":
    main()

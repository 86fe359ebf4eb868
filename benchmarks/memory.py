"""What one more worker holds of the data for itself, against the prepared data.

    python benchmarks/memory.py --data DIR [--workers 3]

DIR holds QK-Video's split files. Workers that live at the same time import torch, map the prepared data, build BLADE
and read other data once, so that nothing but data comes later; then each makes what a training reads, and reads all
batches of training and of evaluation. Memory is private (unique set size), measured while all are alive. Prints rows
of a table.
"""

import argparse
import ctypes
import gc
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import torch

from blade_tune.data.config import data_config
from blade_tune.data.store import SearchData, prepare
from blade_tune.models.blade.model import Blade
from blade_tune.models.settings.blade import BladeConfig
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.device_data import DeviceData

BATCH, LENGTH = 1024, 50
COLUMNS = {"behaviors": ["click", "like", "share", "follow"], "auxiliary": "click"}
QK_VIDEO = {**COLUMNS, "source": "split_files", "name": "qk-video"}
SYNTHETIC = {
    **COLUMNS,
    "source": "synthetic",
    "name": "synthetic",
    "num_clusters": 1_000,
    "num_items": 10_000,
}
DATA_SETS = {
    "qk-video": QK_VIDEO,
    "synthetic": {**SYNTHETIC, "num_users": 20_000, "min_length": 20, "max_length": 80},
    "warm-up": {**SYNTHETIC, "num_users": 2 * BATCH, "min_length": LENGTH, "max_length": LENGTH},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="QK-Video's split files; left out where not given"
    )
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker[0], options.data, Path(options.worker[1]))
        return
    print("| data | rows | prepared | torch, model | data of a worker | of the prepared |")
    print("|---|---|---|---|---|---|")
    for name in ("qk-video", "synthetic") if options.data else ("synthetic",):
        with tempfile.TemporaryDirectory() as root:
            measure(name, options.data, Path(root), options.workers)


def measure(name: str, directory: Path | None, root: Path, num_workers: int) -> None:
    """Print one row."""
    data = open_data(name, directory, root)
    prepared = sum(file.stat().st_size for file in data.path.iterdir())
    command = [sys.executable, __file__, "--worker", name, str(root)]
    command += ["--data", str(directory)] if directory else []
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(num_workers)
    ]
    stages = []
    for _ in ("before its data", "with its data"):
        for process in workers:
            process.stdout.readline()  # all have come so far
        stages.append([psutil.Process(process.pid).memory_full_info().uss for process in workers])
        for process in workers:
            process.stdin.write("\n")
            process.stdin.flush()
    for process in workers:
        process.communicate()
    base = statistics.median(stages[0])
    own = statistics.median(after - before for before, after in zip(*stages, strict=True))
    rows = len(data.train) + len(data.valid)
    print(
        f"| {name} | {rows:,} | {prepared / 1e6:.1f} MB | {base / 1e6:.0f} MB | {own / 1e6:.2f} MB "
        f"| {own / prepared:.1%} |",
        flush=True,
    )


def open_data(name: str, directory: Path | None, root: Path) -> SearchData:
    """The named data set, prepared under `root`."""
    return prepare(
        data_config(DATA_SETS[name], "benchmark"), directory if name == "qk-video" else None, root
    )


def worker(name: str, directory: Path | None, root: Path) -> None:
    """Hold what a worker holds, stage by stage; each ends with a line and waits for one."""
    torch.set_num_threads(1)
    data = open_data(name, directory, root)
    model = Blade(BladeConfig(max_length=LENGTH), data.catalog)
    with tempfile.TemporaryDirectory() as other:
        read_all(open_data("warm-up", None, Path(other)))
    wait()
    held = read_all(data)
    wait()
    del held, model


def read_all(data: SearchData) -> DeviceData:
    """What a training reads, each batch of it and of its evaluation read once."""
    device_data = DeviceData.for_search(data, LENGTH, EvaluationConfig(), torch.device("cpu"))
    windows = device_data.windows
    for rows_B in torch.randperm(len(windows)).split(BATCH):
        batch = windows.rows(rows_B)
        device_data.negatives.draw(batch.users_B, LENGTH)
    for rows_B in torch.arange(len(data.valid)).split(BATCH):
        device_data.evaluator.windows.rows(rows_B)
    return device_data


def wait() -> None:
    """Give freed memory back, say so, and wait for the others."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    print(flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()

"""Processor seconds and peak memory per interaction, stage by stage, on made-up data of growing size.

    python benchmarks/scale.py [--threads 1] [--largest 10000000]

Seconds are those in user mode: the kernel zeroes new memory for large arrays alone, since small ones get memory that
was freed before, and that is no growth of ours. Each size has a hundred interactions a user and two items a user. A
stage's growth is its largest size against the one before: 1.00 is flat. `evaluation` ranks a sample of users, whose
cost is counted per user and item; `training` is two steps of BLADE, counted per interaction of their users. Prints
rows of a table.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any
from unittest.mock import patch

import torch

from blade_tune.catalog import Interactions
from blade_tune.data import store
from blade_tune.data.config import DataConfig, data_config
from blade_tune.data.sequences import rows_with
from blade_tune.data.sources.base import Source, open_source
from blade_tune.models.blade.model import Blade
from blade_tune.models.build import build_model
from blade_tune.models.settings.blade import BladeConfig
from blade_tune.training.config import EvaluationConfig, TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.fitting import Fitting
from blade_tune.training.loop import Training

INTERACTIONS = (100_000, 1_000_000, 10_000_000)
PER_USER, ITEMS_PER_USER, ITEMS_PER_CLUSTER = 100, 2, 20
BATCH, LENGTH, SAMPLE = 1024, 50, 1000
CPU = torch.device("cpu")

Figures = dict[str, tuple[float, float]]  # by stage: seconds and peak bytes


class Drawn(Source):
    """Interactions that lie in memory, so that preparing them is measured without drawing them."""

    def __init__(self, key: str, parts: tuple[Interactions, Interactions]) -> None:
        self.key, self.parts = key, parts

    def search_key(self) -> str:
        return self.key

    def search(self) -> tuple[Interactions, Interactions]:
        return self.parts

    def sealed_key(self) -> str:
        raise NotImplementedError

    def sealed(self) -> tuple[Interactions, Interactions]:
        raise NotImplementedError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--largest", type=int, default=INTERACTIONS[-1], help="leave out sizes above"
    )
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        torch.set_num_threads(options.threads)
        torch.manual_seed(0)
        print(json.dumps(measure(options.only)))
        return
    sizes = [size for size in INTERACTIONS if size <= options.largest]
    tables = [in_fresh_process(size, options.threads) for size in sizes]
    print(f"torch {torch.__version__}, {options.threads} threads")
    print("| stage | " + " | ".join(f"{size:,}" for size in sizes) + " | growth |")
    print("|---" * (len(sizes) + 2) + "|")
    for stage in tables[0]:
        seconds = [table[stage][0] for table in tables]
        peaks = [table[stage][1] for table in tables]
        cells = [f"{1e6 * s:.3g} us, {b:.3g} B" for s, b in zip(seconds, peaks, strict=True)]
        growth = (
            f"{seconds[-1] / seconds[-2]:.2f}, {peaks[-1] / max(peaks[-2], 1e-9):.2f}"
            if len(sizes) > 1
            else ""
        )
        print(f"| {stage} | " + " | ".join(cells) + f" | {growth} |")


def in_fresh_process(num_interactions: int, threads: int) -> Figures:
    """`measure` in a process whose memory nobody used before."""
    command = [sys.executable, __file__, "--only", str(num_interactions), "--threads", str(threads)]
    figures: Figures = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    return figures


def measure(num_interactions: int) -> Figures:
    """Seconds and peak bytes of each stage, per interaction."""
    num_users = num_interactions // PER_USER
    config = settings(num_users)
    figures: Figures = {}

    def stage(name: str, run: Callable[[], Any], count: float = num_interactions) -> Any:
        result, seconds, peak = timed(run)
        figures[name] = seconds / count, peak / count
        print(f"{num_interactions:,} {name}: {seconds:.2f} s, {peak / 1e6:.0f} MB", file=sys.stderr)
        return result

    with tempfile.TemporaryDirectory() as folder:
        source = open_source(config, None)
        drawn = Drawn(source.search_key(), stage("drawing", source.search))
        with patch.object(store, "open_source", return_value=drawn):
            data = stage("preparing", lambda: store.prepare(config, None, Path(folder)))
        device_data = stage(
            "opening", lambda: DeviceData.for_search(data, LENGTH, EvaluationConfig(), CPU)
        )
        stage("batches of an epoch", lambda: batches(device_data))
        for name in ("popularity", "item_knn"):
            fitted = build_model(name, {}, data.catalog, name)
            stage(name, Fitting(fitted, data.train, seed=0).fit)
        model = Blade(BladeConfig(max_length=LENGTH), data.catalog)
        users_U = rows_with(data.valid)
        users_U = users_U[torch.randperm(len(users_U))[:SAMPLE].sort().values]
        evaluator = Evaluator(
            data.windows("valid", LENGTH), users_U, data.catalog, EvaluationConfig()
        )
        stage("evaluation", lambda: evaluator(model), len(users_U) * data.num_items)
        stage("training", lambda: steps(model, device_data), 2 * BATCH * PER_USER)
    return figures


def settings(num_users: int) -> DataConfig:
    """Of the made-up data."""
    num_items = ITEMS_PER_USER * num_users
    return data_config(
        {
            "source": "synthetic",
            "name": "scale",
            "behaviors": ["click", "like", "share", "follow"],
            "auxiliary": "click",
            "num_users": num_users,
            "num_items": num_items,
            "num_clusters": num_items // ITEMS_PER_CLUSTER,
            "min_length": PER_USER - 20,
            "max_length": PER_USER + 20,
        },
        "benchmark",
    )


def batches(device_data: DeviceData) -> None:
    """All that one epoch reads."""
    for rows_B in torch.randperm(len(device_data.windows)).split(BATCH):
        batch = device_data.windows.rows(rows_B)
        batch.with_negatives(device_data.negatives.draw(batch.users_B, LENGTH))


def steps(model: Blade, device_data: DeviceData) -> None:
    """Two steps of training."""
    training = Training(
        model, device_data.windows, device_data.negatives, TrainConfig(batch_size=BATCH), "ndcg@10"
    )
    training.train_epoch(num_steps=2)


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, the processor seconds in user mode, and by how many bytes resident memory rose at its highest."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is the present one
    before = resident("VmHWM")
    start = getrusage(RUSAGE_SELF).ru_utime
    result = run()
    return result, getrusage(RUSAGE_SELF).ru_utime - start, resident("VmHWM") - before


def resident(field: str) -> float:
    """A figure of the kernel's about this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith(field)]
    return 1024.0 * int(kilobytes)


if __name__ == "__main__":
    main()

"""Seconds of a training step of BLADE on one CPU thread and on all, for steps of several sizes.

    python benchmarks/threads.py

This is where SMALL_STEP of blade_tune/training/threads.py comes from. Prints a table of medians of 9 steps.
"""

import statistics
import time

import torch

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.models.blade.model import Blade
from blade_tune.models.settings.blade import BladeConfig

CASES = ((24, 12), (64, 12), (64, 50), (128, 50), (256, 50), (512, 50))  # batch_size, max_length
USERS, ITEMS, K = 1000, 5000, 4


def batch_of(size: int, length: int) -> Batch:
    items_BL, targets_BL, negatives_BL = torch.randint(1, ITEMS + 1, (3, size, length))
    sets_BLK, target_sets_BLK = torch.randint(0, 2, (2, size, length, K), dtype=torch.uint8)
    users_B = torch.randint(1, USERS + 1, (size,))
    return Batch(users_B, items_BL, sets_BLK, targets_BL, target_sets_BLK, negatives_BL)


def step_s(model: Blade, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    start = time.perf_counter()
    optimizer.zero_grad()
    torch.stack(tuple(model.losses(batch).values())).sum().backward()
    optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    everything = torch.get_num_threads()
    counts = torch.tensor([900, 700, 60, 40])
    catalog = Catalog(
        USERS,
        ITEMS,
        ("click", "like", "share", "follow"),
        (0,),
        counts.numpy(),
        counts.diag().add(20).numpy(),
    )
    print(f"torch {torch.__version__}, {everything} threads")
    print(f"{'batch':>6} {'length':>6} {'numbers':>9} {'1 thread':>9} {'all':>9} {'ratio':>6}")
    for size, length in CASES:
        model = Blade(BladeConfig(max_length=length), catalog)
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        batch = batch_of(size, length)
        medians = []
        for threads in (1, everything):
            torch.set_num_threads(threads)
            medians.append(
                statistics.median([step_s(model, optimizer, batch) for _ in range(11)][2:])
            )
        one, many = medians
        numbers = size * length * 32
        print(
            f"{size:>6} {length:>6} {numbers:>9} {one:>9.4f} {many:>9.4f} {one / many:>6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

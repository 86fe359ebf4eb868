"""Seconds of ranking every user's item among all items: ours against numpy user by user, from given states.

    python benchmarks/ranking.py [--threads 1] [--large]

States and vectors are random, 22 items a user are excluded, as in QK-Video on average. The metrics of both are checked
to be equal. Prints rows of a table: medians of interleaved runs. `--large` adds a catalog of a million items.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.metrics import summarize
from blade_tune.training.ranking import Ranking

QK_VIDEO = (4_867, 20_494)  # users with a validation row, items
LARGE = (500, 1_000_000)
D, EXCLUDED, TOP = 32, 22, 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--threads", type=int, help="torch's threads; its own choice where not given"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each; the median is printed")
    parser.add_argument("--large", action="store_true", help="a million items too")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {torch.get_num_threads()} threads")
    print("| users x items | numpy, user by user | ours | times faster | million scores a second |")
    print("|---|---|---|---|---|")
    for num_users, num_items in (QK_VIDEO, LARGE) if options.large else (QK_VIDEO,):
        compare(num_users, num_items, options.runs)


def compare(num_users: int, num_items: int, runs: int) -> None:
    """Print one row."""
    torch.manual_seed(0)
    vectors_VD = torch.randn(num_items + 1, D)
    targets_U = torch.randint(1, num_items + 1, (num_users,))
    states_UD = torch.randn(num_users, D) + 0.5 * vectors_VD[targets_U]  # so that some are hit
    excluded_UX = torch.randint(1, num_items + 1, (num_users, EXCLUDED))
    ranking = Ranking(targets_U, num_items)

    def ours() -> Tensor:
        with torch.inference_mode():
            return ranking(states_UD, vectors_VD, lambda rows_B: excluded_UX[rows_B])

    vectors, excluded = vectors_VD[1:].numpy(), excluded_UX.numpy() - 1
    arrays = (states_UD.numpy(), vectors, targets_U.numpy() - 1, excluded)
    (theirs_s, theirs_U), (ours_s, ours_U) = interleaved(
        [lambda: user_by_user(*arrays), ours], runs
    )
    if summarize(ours_U) != summarize(theirs_U):
        raise SystemExit(f"metrics differ: {summarize(ours_U)} and {summarize(theirs_U)}")
    speed = num_users * num_items / ours_s / 1e6
    print(
        f"| {num_users:,} x {num_items:,} | {theirs_s:.3f} s | {ours_s:.3f} s "
        f"| {theirs_s / ours_s:.1f} | {speed:,.0f} |",
        flush=True,
    )


def user_by_user(
    states_UD: NDArray[np.float32],
    vectors_VD: NDArray[np.float32],
    targets_U: NDArray[np.int64],
    excluded_UX: NDArray[np.int64],
) -> Tensor:
    """Ranks within the top 20 as one writes them at first; TOP where the target is not among them."""
    ranks = []
    for state_D, target, excluded_X in zip(states_UD, targets_U, excluded_UX, strict=True):
        scores_V = vectors_VD @ state_D
        scores_V[excluded_X] = -np.inf
        top = np.argpartition(-scores_V, TOP)[:TOP]
        top = top[np.argsort(-scores_V[top])]
        found = np.flatnonzero(top == target)
        ranks.append(int(found[0]) if len(found) else TOP)
    return torch.tensor(ranks)


def interleaved(programs: list[Callable[[], Tensor]], runs: int) -> list[tuple[float, Tensor]]:
    """The median seconds and the result of each, run in turns after one turn that does not count."""
    results = [program() for program in programs]
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(runs):
        for program, mine in zip(programs, seconds, strict=True):
            start = time.perf_counter()
            program()
            mine.append(time.perf_counter() - start)
    return list(zip(map(statistics.median, seconds), results, strict=True))


if __name__ == "__main__":
    main()

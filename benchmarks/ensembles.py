"""How often the interval of an ensemble's gain covers what other users get, and how often one is taken for nothing.

    python benchmarks/ensembles.py --samples 60

Models' scores are made up: normal noise, a part of it shared by all models, in which each user's own item stands out by
a model's worth. The truth of a choice is its gain for 40,000 other users. Results are printed as Markdown.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from blade_tune.selection.contested import Contested, ScoredUsers
from blade_tune.selection.greedy import Sums, greedy, out_of_bag_ensemble

METRIC, CUTOFF, NUM_ITEMS = "ndcg@10", 10, 60
NUM_USERS, BLOCK = 600, 4_000


@dataclass(frozen=True)
class Models:
    """Made-up candidates."""

    worth: tuple[float, ...]  # by how much a user's own item stands out
    shared: float  # share of the noise that all have in common

    def users(self, count: int, rng: np.random.Generator) -> ScoredUsers:
        """Return their scores for some users."""
        targets_B = rng.integers(1, NUM_ITEMS + 1, count)
        common_BV = rng.standard_normal((count, NUM_ITEMS))
        own_CBV = rng.standard_normal((len(self.worth), count, NUM_ITEMS))
        scores_CBV = np.sqrt(self.shared) * common_BV + np.sqrt(1 - self.shared) * own_CBV
        scores_CBV[:, np.arange(count), targets_B - 1] += np.array(self.worth)[:, None]
        return ScoredUsers(scores_CBV.astype(np.float32), targets_B, np.zeros((count, 1), int))


MODELS = {
    "three that complement each other": Models((1.0, 1.0, 0.9), 0.0),
    "one good, three weak and independent": Models((1.5, 0.3, 0.3, 0.3), 0.0),
    "one good, four of noise": Models((1.5, 0.0, 0.0, 0.0, 0.0), 0.5),
    "five near copies, as of seeds": Models((1.0,) * 5, 0.97),
    "five near copies of unequal worth": Models((1.0, 0.97, 0.94, 0.9, 0.9), 0.97),
}


def rates(models: Models, num_samples: int) -> list[float]:
    """Mean gain, coverage, mean error, half the interval, how often an ensemble is taken, and how often for nothing."""
    rng = np.random.default_rng(0)
    others = Sums(Contested.of((models.users(BLOCK, rng) for _ in range(10)), CUTOFF), METRIC)
    rows = []
    for _ in range(num_samples):
        sums = Sums(Contested.of([models.users(NUM_USERS, rng)], CUTOFF), METRIC)
        everybody_RX = np.ones((1, len(sums.contested.users_X)))
        [chosen] = greedy(sums, everybody_RX, 10, 5)
        [single] = greedy(sums, everybody_RX, 1, 5)
        gained = others.gains(chosen).sum() - others.gains(single).sum()
        truth = gained / others.contested.num_users
        found = out_of_bag_ensemble(sums, 10, 5, resamples=60).comparison
        is_taken = sum(map(bool, chosen)) > 1 and found.low > 0
        rows.append(
            (
                truth,
                found.low <= truth <= found.high,
                found.difference - truth,
                (found.high - found.low) / 2,
                is_taken,
                is_taken and truth <= 0,
            )
        )
    return np.mean(rows, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=60)
    given = parser.parse_args()
    print("| made-up candidates | gain | covered | error | half width | taken | for nothing |")
    print("|---|---|---|---|---|---|---|")
    for name, models in MODELS.items():
        gain, covered, error, half, taken, wrongly = rates(models, given.samples)
        print(
            f"| {name} | {gain:.4f} | {covered:.2f} | {error:+.4f} | {half:.4f} | {taken:.2f} | {wrongly:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""How often intervals cover what new users get, and how often a part that does nothing is found to do something.

    python benchmarks/coverage.py --studies 2000

Searches are made up (tests/selection/simulated.py): 60 trials, the top 5 of them on fresh seeds, the best of these the
winner. `at hand` is the interval of the winner's mean over the users at hand, corrected for its choice; `out of bag`
that for other users. A null effect is a model that is the winner's equal, compared with it on the rows that chose it:
`plain` by the paired bootstrap, `allowing` for what the winner owes. Results are printed as Markdown.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what the tests draw

from blade_tune.selection.out_of_bag import Searched, out_of_bag
from blade_tune.selection.statistics import paired_bootstrap, winner_interval
from tests.selection.simulated import NORMAL, SPARSE, Setting, draw_run, draw_users, simulate

SETTINGS = {
    "normal gains, half of users' error shared": NORMAL,
    "none of it shared": Setting(shared=0.0),
    "equal trials": Setting(spread=0.0),
    "NDCG@10, 19 in 20 users have none": SPARSE,
}


def rates(setting: Setting, num_seeds: int, num_studies: int) -> list[float]:
    """Coverage at hand and out of bag, the mean error of the latter, null effects plain and allowing."""
    rng = np.random.default_rng(num_seeds)
    rows = []
    for _ in range(num_studies):
        study = simulate(setting, num_seeds, rng)
        searched = Searched(study.gains_TU, study.candidates_C)
        expected = out_of_bag(study.runs_CSU, searched, resamples=200, draws=2_000)
        base_SU = study.runs_CSU[0]
        low, high = winner_interval(base_SU.mean(axis=1).tolist(), len(study.candidates_C))
        own_U = draw_users(setting, 1 - setting.shared, study.own_U.shape, rng)
        latent_1U = (study.winner + study.easy_U + own_U)[None]
        changed_SU = np.concatenate([draw_run(setting, latent_1U, rng) for _ in range(num_seeds)])
        p_values = [
            paired_bootstrap(changed_SU, base_SU, owed=(0.0, owed), resamples=999).p_value
            for owed in (0.0, expected.owed)
        ]
        rows.append(
            (
                low <= study.truth <= high,
                expected.low <= study.truth <= expected.high,
                expected.mean - study.truth,
                *(p_value < 0.05 for p_value in p_values),
            )
        )
    return np.mean(rows, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2_000, help="of each row")
    options = parser.parse_args()
    print("| setting | seeds | at hand | out of bag | its error | null, plain | null, allowing |")
    print("|---|---|---|---|---|---|---|")
    for name, setting in SETTINGS.items():
        for num_seeds in (2, 3, 5, 10):
            at_hand, new, error, plain, allowing = rates(setting, num_seeds, options.studies)
            print(
                f"| {name} | {num_seeds} | {at_hand:.3f} | {new:.3f} | {error:+.5f} | {plain:.3f} | {allowing:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

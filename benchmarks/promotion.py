"""What a decision about pausing and promoting costs in a study of many trials, on SQLite.

    python benchmarks/promotion.py [--trials 1000]

The rows are read as a worker reads them, then judged. Prints the median and the highest of some tries, in ms of
processor time. A third of the trials ran to their end with 20 evaluations, the others paused at one of two rungs.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.search.promotion import Ladder, Standing
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.trial_record import EndReason, attributes

LADDER = Ladder((20, 40), 3)
EPOCHS, EVAL_EVERY, TRIES = 80, 4, 21


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(resolve_url(None, Path(folder)), create=True)
        optuna.create_study(study_name="s", storage=storage, direction="maximize")
        study = optuna.load_study(study_name="s", storage=storage)
        dice = random.Random(0)
        study.add_trials([ended(dice) for _ in range(given.trials)])
        running = study.ask()
        for epoch in range(EVAL_EVERY, LADDER.rungs[0] + 1, EVAL_EVERY):
            running.report(dice.random(), epoch)

        def rows() -> list[FrozenTrial]:
            return study.get_trials(deepcopy=False)

        def standing() -> Standing:
            return Standing(LADDER, rows(), 2 * given.trials)

        row = rows()[-1]
        print(f"{given.trials} trials: ms, median and highest")
        show("read the rows", rows)
        show("read and decide at a rung", lambda: standing().pauses(row, LADDER.rungs[0]))
        show("read and find whom to promote", lambda: standing().promotable())
        show("read and find whose checkpoints stay", lambda: standing().hopeful)


def ended(dice: random.Random) -> FrozenTrial:
    last = dice.choice([LADDER.rungs[0], LADDER.rungs[1], EPOCHS])
    reports = {epoch: dice.random() for epoch in range(EVAL_EVERY, last + 1, EVAL_EVERY)}
    if last == EPOCHS:
        return optuna.create_trial(value=max(reports.values()), intermediate_values=reports)
    attrs = attributes(reason=EndReason.PAUSED)
    return optuna.create_trial(
        state=TrialState.PRUNED, intermediate_values=reports, user_attrs=attrs
    )


def show(name: str, run: Callable[[], object]) -> None:
    taken = []
    for _ in range(TRIES):
        start = time.process_time()
        run()
        taken.append(1000 * (time.process_time() - start))
    print(f"{name:40} {statistics.median(taken):6.1f} {max(taken):6.1f}")


if __name__ == "__main__":
    main()

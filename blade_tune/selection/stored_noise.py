"""The noise of differences between models, from the runs that a study's database and results hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import optuna

from blade_tune.errors import ConfigError
from blade_tune.selection.comparison_name import ComparisonName
from blade_tune.selection.confirm import load_confirmation
from blade_tune.selection.power import PairNoise
from blade_tune.selection.scores import Scores, load_scores
from blade_tune.spec.definition import OF_RUNS
from blade_tune.study.stored import StoredStudy


@dataclass(frozen=True)
class StoredNoise:
    """The mean noise of all pairs of models that were compared, or of the candidates of one confirmation."""

    noise: PairNoise
    users: int
    labels: tuple[str, ...]  # of the models, or of the candidates


def stored_noise(stored: StoredStudy) -> StoredNoise:
    """Return the noise between the models of a study's comparisons, or else between its confirmed candidates.

    Raises:
        ConfigError: neither are there.
        RunsMissingError: files of their runs are not in this results folder.
    """
    scores = list(_compared(stored)) or list(_candidates(stored))
    if len(scores) < 2:
        name = stored.definition.name
        raise ConfigError(
            f"study {name}: the noise of a difference needs two models of a comparison or two confirmed candidates; "
            f"run `blade-tune confirm --study {name} --top 2` first, or give --users, --user-sd and --run-sd."
        )
    metric = stored.definition.objective.metric
    gains = [each.gains(metric) for each in scores]
    noise = PairNoise.between(combinations(gains, 2))
    labels = tuple(each.label for each in scores)
    return StoredNoise(noise, scores[0].ranks_SU.shape[1], labels)


def _compared(stored: StoredStudy) -> Iterator[Scores]:
    """Yield the scores of the confirmed winners of a study's comparisons."""
    prefix = ComparisonName(stored.definition.name).search("")
    for name in optuna.get_all_study_names(stored.storage):
        if name.startswith(prefix) and not name.endswith(OF_RUNS):
            search = StoredStudy.of(stored.storage, name, stored.folder.results)
            confirmation = load_confirmation(search)
            if confirmation:
                runs, label = confirmation.winning_runs, name.removeprefix(prefix)
                yield load_scores(confirmation.runs, label, runs, "valid")


def _candidates(stored: StoredStudy) -> Iterator[Scores]:
    """Yield the scores of a search's confirmed candidates."""
    confirmation = load_confirmation(stored)
    if confirmation:
        trials = confirmation.runs.trials
        for candidate in confirmation.candidates:
            runs = [trials[number] for number in candidate.runs]
            yield load_scores(confirmation.runs, f"trial {candidate.trial}", runs, "valid")

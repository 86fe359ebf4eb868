"""Effects of changes to a confirmed winner: ablations of its parts, sweeps of its parameters, and grids of several.

The winner and each changed configuration are trained on the same fresh seeds, and compared by a paired test over seeds
and users. Changes of one kind form a table, over which p-values are corrected.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from blade_tune.config import read_value
from blade_tune.errors import ConfigError
from blade_tune.parameter import Value
from blade_tune.selection.confirm import is_seeded, require_confirmation
from blade_tune.selection.groups import GroupContrast, interactions
from blade_tune.selection.runs import (
    Run,
    RunExecutor,
    execute,
    find_runs,
    is_complete,
    require,
    rows,
    seeds,
)
from blade_tune.selection.scores import EvaluatedPart, Scores, load_scores, user_groups
from blade_tune.selection.statistics import Comparison, holm, paired_bootstrap
from blade_tune.selection.testing import Opening, is_tested, open_for
from blade_tune.study.stored import StoredStudy

# User attribute of the search: title of a table -> {"trial", "values", "seeds", "variants": label -> changes}.
ATTRIBUTE = "effects"
ABLATION = "ablation"  # the title of the table of a model's parts
BESIDE = " x "  # between the parameters in the title of a grid
OF_TEST = ", test"  # how the title of a table of test rows ends

Changes = Mapping[str, Value]  # parameters that differ from the winner's, by dotted name


@dataclass(frozen=True)
class Effect:
    """The scores of one changed configuration, and their difference to those of the unchanged winner."""

    changes: Changes
    scores: Scores
    comparison: Comparison  # change minus winner
    p_adjusted: float  # p-value with Holm's correction over the changes of one table


@dataclass(frozen=True)
class Effects:
    """A table of changes of one kind, each compared with the winner."""

    # "ablation", or dotted names of parameters, of a grid joined by " x "; of test rows with ", test"
    title: str
    metric: str
    trial: int  # number of the winner in the search
    values: Mapping[str, Value]  # all settings of the winner, by dotted name
    part: EvaluatedPart  # the rows that the figures are of
    num_seeds: int  # runs of each configuration
    owed: float  # how much of the winner's mean may be owed to its having been chosen on these rows
    base: Scores  # of the unchanged winner
    effects: tuple[Effect, ...]
    # Name of a group -> mask_U of the evaluated users in the group, see `groups.groups_of`
    groups: Mapping[str, NDArray[np.bool_]]

    @property
    def parameters(self) -> list[str]:
        """The parameters that a sweep or a grid varies; of an ablation its title."""
        return self.title.removesuffix(OF_TEST).split(BESIDE)

    @cached_property
    def contrasts(self) -> tuple[GroupContrast, ...]:
        """For each change, whether its difference to the winner differs between groups of users."""
        base_SU = self.base.gains(self.metric)
        pairs = [
            (each.scores.label, each.scores.gains(self.metric), base_SU) for each in self.effects
        ]
        return interactions(pairs, self.groups)


def ablations(stored: StoredStudy) -> dict[str, dict[str, Changes]]:
    """Return the ablations that the study's model declares, as one table.

    Returns:
        "ablation" -> label -> changes.

    Raises:
        ConfigError: the model declares no ablations.
    """
    from blade_tune.models.build import model_class  # loads torch

    model = model_class(stored.definition.model)
    if not model.ablations:
        raise ConfigError(f"model {stored.definition.model} names no part that can be taken out.")
    return {ABLATION: dict(model.ablations)}


def sweeps(stored: StoredStudy, wanted: Mapping[str, str]) -> dict[str, dict[str, Changes]]:
    """Return a table for each parameter to sweep.

    Args:
        stored: the search.
        wanted: dotted name of a parameter -> its values as text, such as {"model.lambda_": "0.01,0.1,1"}.

    Returns:
        Name of a parameter -> label -> changes.

    Raises:
        ConfigError: a name is unknown, or a value breaks a constraint of the settings.
    """
    tables: dict[str, dict[str, Changes]] = {}
    for name, text in wanted.items():
        tables[name] = {}
        place = f"--param {name} --values {text}"
        for word in text.split(","):
            whole = stored.definition.complete({name: read_value(word)}, place)
            value = whole[name]
            tables[name][_label({name: value})] = {name: value}
    return tables


def grid(
    stored: StoredStudy, wanted: Mapping[str, str], lines: Sequence[str] = ()
) -> dict[str, dict[str, Changes]]:
    """Return one table of all combinations of several parameters' values, and of single configurations beside them.

    Args:
        stored: the search.
        wanted: dotted name of a parameter -> its values as text, at least two parameters.
        lines: the configurations beside them as text, such as "model.augmentation=none".

    Returns:
        The names of the parameters joined -> label -> changes.

    Raises:
        ConfigError: there are fewer than two parameters, a line is not of its form or is in the table already, a name
            is unknown, or a value breaks a constraint of the settings.
    """
    if len(wanted) < 2:
        raise ConfigError(
            f"--grid: varies two or more --param together, got {len(wanted)}; leave it out for a sweep of one."
        )
    axes = [list(table.values()) for table in sweeps(stored, wanted).values()]
    points: dict[str, Changes] = {}
    for point in itertools.product(*axes):
        combined = {name: value for changes in point for name, value in changes.items()}
        points[_label(combined)] = combined
    for text in lines:
        changes = _line(stored, text)
        if changes in points.values():
            raise ConfigError(f"--line {text}: is in the table already; leave it out.")
        points[_label(changes)] = changes
    return {BESIDE.join(wanted): points}


def _line(stored: StoredStudy, text: str) -> Changes:
    """Return the changes of a configuration beside a grid, from text such as "model.augmentation=none"."""
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, *_ in pairs]
    if len(set(names)) < len(names) or not all(name and value for name, _, value in pairs):
        raise ConfigError(
            f"--line {text}: must be NAME=VALUE[,NAME=VALUE] with different names, such as model.augmentation=none."
        )
    words = {name: read_value(value) for name, (*_, value) in zip(names, pairs, strict=True)}
    whole = stored.definition.complete(words, f"--line {text}")
    return {name: whole[name] for name in names}


def _label(changes: Changes) -> str:
    return ", ".join(f"{name}={value}" for name, value in changes.items())


def study_effects(
    stored: StoredStudy,
    tables: Mapping[str, Mapping[str, Changes]],
    num_seeds: int | None,
    executor: RunExecutor,
    opening: Opening | None = None,
) -> list[Effects]:
    """Train the winner and each change of it on the same fresh seeds, and return the tables with their comparisons.

    Args:
        stored: a search whose winner is confirmed.
        tables: title of a table -> label of a change -> the change.
        num_seeds: number of runs of each configuration; None for as many as in the confirmation. Ignored for a model
            that no seed changes, which has one run.
        executor: trains the runs.
        opening: how to open the test rows, which chose nothing, for every run; None to compare on validation rows.

    Raises:
        ConfigError: no winner is confirmed, or a changed configuration breaks a constraint.
        RunsMissingError: a run failed, or was ended by a limit.
    """
    confirmation = require_confirmation(stored)
    winner = confirmation.winner
    count = 1
    if is_seeded(stored.definition):
        count = num_seeds or len(confirmation.seeds)
    part: EvaluatedPart = "test" if opening else "valid"
    owed = confirmation.expected.owed if confirmation.expected and not opening else 0.0
    # The tables are stored before anything is trained, so that `load_effects` finds the runs.
    asked: dict[str, Any] = dict(stored.study.user_attrs.get(ATTRIBUTE, {}))
    for title, variants in tables.items():
        for label, changes in variants.items():
            stored.definition.complete({**winner.values, **changes}, f"{title}: {label}")
        asked[_key(title, part)] = {
            "trial": winner.trial,
            "values": dict(winner.values),
            "seeds": count,
            "part": part,
            "owed": owed,
            "variants": {label: dict(changes) for label, changes in variants.items()},
        }
    stored.study.set_user_attr(ATTRIBUTE, asked)
    # All tables are trained in one go, and computed when all runs are complete.
    keys = [_key(title, part) for title in tables]
    wanted = {key: _wanted(stored, asked[key]) for key in keys}
    study = execute(stored, list(itertools.chain(*wanted.values())), executor)
    runs = {key: require(study, wanted[key]) for key in keys}
    if opening:
        open_for(stored, study, list(itertools.chain(*runs.values())), opening)
    return [_table(study, key, asked[key], runs[key]) for key in keys]


def _key(title: str, part: EvaluatedPart) -> str:
    """Return the name under which a table is stored; those of an earlier version are of validation rows."""
    return title if part == "valid" else f"{title}{OF_TEST}"


def load_effects(stored: StoredStudy) -> list[Effects]:
    """Return the stored tables of a search whose runs are all complete, without training anything."""
    study = find_runs(stored)
    if study is None:
        return []
    asked = stored.study.user_attrs.get(ATTRIBUTE, {})
    tables = []
    for title, facts in asked.items():
        latest = rows(study, _wanted(stored, facts))
        runs = [run for run in latest if run and is_complete(run)]
        has_all = len(runs) == len(latest)
        if facts.get("part") == "test":  # some may be complete and not tested yet
            has_all &= all(is_tested(study.files(run)) for run in runs)
        if has_all:
            tables.append(_table(study, title, facts, runs))
    return tables


def _wanted(stored: StoredStudy, facts: Mapping[str, Any]) -> list[Run]:
    """Return the runs that a table needs: the winner on each seed, then each change on each seed."""
    fresh = seeds(stored.definition, facts["seeds"])
    variants = {f"trial {facts['trial']}": {}, **facts["variants"]}
    return [
        Run({**facts["values"], **changes}, seed, label)
        for label, changes in variants.items()
        for seed in fresh
    ]


def _table(
    study: StoredStudy, title: str, facts: Mapping[str, Any], runs: Sequence[FrozenTrial]
) -> Effects:
    """Return a table computed from complete runs, which are in the order of `_wanted`."""
    count = facts["seeds"]
    metric = study.definition.objective.metric
    # The scores of the winner and of each change
    groups = [runs[first : first + count] for first in range(0, len(runs), count)]
    labels = [f"trial {facts['trial']}", *facts["variants"]]
    labeled = zip(labels, groups, strict=True)
    part, owed = facts.get("part", "valid"), facts.get("owed", 0.0)
    base, *changed = [load_scores(study, label, group, part) for label, group in labeled]
    # Each change compared with the winner, from which is taken off at most what it owes
    base_SU = base.gains(metric)
    comparisons = [
        paired_bootstrap(scores.gains(metric), base_SU, owed=(0.0, owed)) for scores in changed
    ]
    adjusted = holm([comparison.p_value for comparison in comparisons])
    all_changes = facts["variants"].values()
    effects = tuple(map(Effect, all_changes, changed, comparisons, adjusted))
    tested = study.files(runs[0]) if part == "test" else None
    return Effects(
        title=title,
        metric=metric,
        trial=facts["trial"],
        values=study.definition.complete(facts["values"], title),
        part=part,
        num_seeds=count,
        owed=owed,
        base=base,
        effects=effects,
        groups=user_groups(study.data(None), tested),
    )

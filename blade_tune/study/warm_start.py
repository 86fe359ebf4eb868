"""Warm starts: configurations of other studies that a study tries before its sampler proposes any.

`selection.warm_sources` reads the sources that a user names. Here their configurations are carried over into a study's
space, and queued. Which ones are taken is stored before the first of them is queued: a run after a kill at any moment
queues the rest, and no later run takes others from the same source.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from blade_tune.config import parse
from blade_tune.errors import ConfigError
from blade_tune.parameter import Value
from blade_tune.search.replicates import Configuration, configuration, given_params
from blade_tune.space import Space, nest
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.published import LENGTH
from blade_tune.spec.study_file import Enqueued
from blade_tune.storage.trial_record import TrialRecord, attributes
from blade_tune.storage.trials import num_scored, root_number
from blade_tune.trial.provenance import now

ATTRIBUTE = "warm_starts"  # user attribute of a study: a list of the fields of each `WarmStart`
TAG = "warm"  # how the tags of the trials begin: "warm 1"
COUNT = 3  # configurations of a source where a user names no number
# Trials of a study's budget for each configuration that it takes, so that a misleading source costs little: measured by
# benchmarks/warm_start.py, see docs/studies.md.
TRIALS_EACH = 15


@dataclass(frozen=True)
class KnownConfiguration:
    """A configuration of a source, and where it comes from."""

    values: Mapping[str, Value]  # by dotted name; settings may be missing
    # Plain facts: `source` in words, study, trial, value, metric, data, when it ended, and where it is stored
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class WarmSource:
    """What a user named as the source of a warm start, as it was read."""

    name: str  # without the number of configurations and without secrets
    count: int  # how many configurations are asked for
    best: Sequence[KnownConfiguration]  # the best first, `count` of them or fewer
    model: str | None  # None for a table of trials, which does not say
    members: tuple[str, ...] = ()  # the models of a combination's members


@dataclass(frozen=True)
class WarmStart:
    """What a study has taken from one source at one time."""

    source: str  # the name of the source
    count: int  # how many configurations were asked for
    taken: str  # when, in UTC
    entries: tuple[Enqueued, ...]
    left_out: tuple[str, ...]  # a sentence on each configuration that was not taken

    @classmethod
    def all_of(cls, study: optuna.Study) -> list["WarmStart"]:
        """Return what a study has taken from sources, the earliest first."""
        starts = []
        for stored in study.user_attrs.get(ATTRIBUTE, []):
            entries = tuple(parse(Enqueued, entry, ATTRIBUTE) for entry in stored["entries"])
            left_out = tuple(stored["left_out"])
            starts.append(cls(**{**stored, "entries": entries, "left_out": left_out}))
        return starts

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        entries = [entry.model_dump(mode="json") for entry in self.entries]
        return {**vars(self), "entries": entries, "left_out": list(self.left_out)}

    @property
    def lines(self) -> list[str]:
        """A line on each configuration that was taken, and on each that was not."""
        taken = [f"{entry.tag}: {origin_words(entry.metadata)}" for entry in self.entries]
        return taken + [f"not taken: {sentence}" for sentence in self.left_out]


def origin_words(metadata: Mapping[str, Any]) -> str:
    """Return what the metadata of a warm start says: "trial 7 of study demo (ndcg@10 0.3123 on shop)", and changes."""
    facts = []
    if metadata.get("value") is not None:
        facts.append(f"{metadata.get('metric') or 'value'} {metadata['value']:.4f}")
    if metadata.get("runs"):
        facts.append(f"mean of {metadata['runs']} confirming runs")
    if metadata.get("data"):
        facts.append(f"on {metadata['data']}")
    words = f"{metadata['source']} ({', '.join(facts)})" if facts else str(metadata["source"])
    for name, (there, here) in metadata.get("changed", {}).items():
        words += f"; {name} {_text(there)} there, {_text(here)} here"
    return words


def _text(value: Value | None) -> str:
    """Return a value, a float with five significant digits; None was left to the sampler."""
    if value is None:
        return "sampled"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def is_warm(trial: FrozenTrial) -> bool:
    """Whether a trial was taken from another study."""
    return "taken" in TrialRecord(trial).get(TrialRecord.metadata, {})


def warm_origin(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the metadata of the warm start by which a trial's configuration was first tried; empty where by none.

    Args:
        trials: all rows of the study.
        trial: one of its trials, or a repeat of a warm start on another seed.
    """
    for other in trials:
        if is_warm(other) and given_params(other).items() <= given_params(trial).items():
            return TrialRecord(other).metadata
    return {}


def carry_over(source: WarmSource, definition: StudyDefinition) -> list[Enqueued]:
    """Return the configurations of a source as points of a study's space, as far as they have one, the best first.

    The study's space has the last word. What it fixes, or does not name, is as there. What it searches has the source's
    value, or the nearest that it may have; where none is near, it is left to the sampler. A point that breaks a rule of
    the model is left out.

    Args:
        source: the source.
        definition: the study that is to try them.

    Raises:
        ConfigError: the source is of another model.
    """
    _require_same_model(source, definition)
    entries = []
    for known in source.best:
        nearest = definition.space.nearest(known.values)
        point = {name: value for name, value in nearest.items() if value is not None}
        try:
            whole = definition.complete({**definition.space.fixed, **point}, source.name)
        except ConfigError:
            continue
        if point:
            changed = _changed(known.values, {**whole, **nearest})
            metadata = {**known.origin, "taken": now(), "changed": changed}
            entries.append(Enqueued.model_validate({**nest(point), "metadata": metadata}))
    return entries


def _changed(
    there: Mapping[str, Value], here: Mapping[str, Value | None]
) -> dict[str, list[Value | None]]:
    """Return the settings that differ by dotted name, each as [there, here], but for the length of training."""
    return {
        name: [value, here[name]]
        for name, value in there.items()
        if name in here and here[name] != value and name.removeprefix("train.") not in LENGTH
    }


def _require_same_model(source: WarmSource, definition: StudyDefinition) -> None:
    """Refuse a source of another model, or of a combination of other models."""
    model, members = definition.model, tuple(name for name, _ in definition.member_models)
    if source.model is None:
        return
    if source.model != model:
        raise ConfigError(
            f"--warm-start {source.name}: is of {source.model}, and study {definition.name} is of {model}; name a "
            f"source of {model}, or run the study with --model {source.model}."
        )
    if source.members != members:
        raise ConfigError(
            f"--warm-start {source.name}: combines {', '.join(source.members)}, and study {definition.name} "
            f"{', '.join(members)}; name a source of the same members."
        )


def is_taken(study: optuna.Study, source: str, count: int) -> bool:
    """Whether as many configurations of a source were asked for before, so that it gives no more.

    Args:
        study: the study.
        source: the name of the source.
        count: how many are asked for now.
    """
    return any(start.source == source and start.count >= count for start in WarmStart.all_of(study))


class _Choice:
    """Choice of what a study takes from sources.

    Args:
        space: the space of the study.
        tried: the configurations that are tried or queued already, each with what it is there.
        before: what the study has taken from sources before.
        room: how many more it takes.
    """

    def __init__(
        self,
        space: Space,
        tried: Sequence[tuple[Configuration, str]],
        before: Sequence[WarmStart],
        room: int,
    ) -> None:
        self._space = space
        self._tried = [*tried]
        self._room = room
        entries = [(start.source, entry) for start in before for entry in start.entries]
        self._own = {(source, configuration(space, entry.values)) for source, entry in entries}
        self._num_taken = len(entries)
        self.taken: defaultdict[str, list[Enqueued]] = defaultdict(list)  # by source
        self.left_out: defaultdict[str, list[str]] = defaultdict(list)  # by source

    def consider(self, source: str, entry: Enqueued) -> None:
        """Take a configuration of a source, or leave it out."""
        wanted = configuration(self._space, entry.values)
        if (source, wanted) in self._own:
            return
        origin = entry.metadata["source"]
        tried_as = next((name for other, name in self._tried if wanted <= other), None)
        if tried_as is not None:
            self.left_out[source].append(f"{origin} is {tried_as} here")
        elif self._room <= 0:
            self.left_out[source].append(
                f"{origin}: of {TRIALS_EACH} trials one at most is a warm start, for a source may mislead"
            )
        else:
            self._room -= 1
            self._num_taken += 1
            tag = f"{TAG} {self._num_taken}"
            self._tried.append((wanted, tag))
            self.taken[source].append(entry.model_copy(update={"tag": tag}))


def plan(
    definition: StudyDefinition,
    sources: Sequence[WarmSource],
    budget: int,
    study: optuna.Study | None,
) -> list[WarmStart]:
    """Decide which configurations of sources a study tries; store nothing.

    The best of each source comes first, then the second of each, and so on. What is a trial of the study already, or is
    named by another source too, is taken once. A study takes one configuration for each `TRIALS_EACH` trials of its
    budget, at least one.

    Args:
        definition: the definition of the study.
        sources: the sources; those that gave as many before give no more.
        budget: how many trials of the study are scored in all.
        study: the stored study; None where it is still to be made.

    Returns:
        What is taken from each source now.

    Raises:
        ConfigError: a source is of another model, or the budget is used up.
    """
    trials: list[FrozenTrial] = []
    before: list[WarmStart] = []
    if study is not None:
        sources = [each for each in sources if not is_taken(study, each.name, each.count)]
        before, trials = WarmStart.all_of(study), study.get_trials(deepcopy=False)
    places = budget - num_scored(trials)
    if sources and places <= 0:
        raise ConfigError(
            f"--warm-start {sources[0].name}: study {definition.name} has its {budget} scored trials; --add K makes "
            "room for more."
        )
    num_taken = sum(len(start.entries) for start in before)
    most = max(1, budget // TRIALS_EACH)
    tried = _tried(definition, trials)
    choice = _Choice(definition.space, tried, before, min(most - num_taken, places))
    carried = [
        [(source.name, entry) for entry in carry_over(source, definition)] for source in sources
    ]
    for of_one_rank in zip_longest(*carried):
        for pair in filter(None, of_one_rank):
            choice.consider(*pair)
    return [
        WarmStart(
            source=source.name,
            count=source.count,
            taken=now(),
            entries=tuple(choice.taken[source.name]),
            left_out=tuple(choice.left_out[source.name]),
        )
        for source in sources
    ]


def _tried(
    definition: StudyDefinition, trials: Sequence[FrozenTrial]
) -> list[tuple[Configuration, str]]:
    """Return the configurations of a study's trials with their names; of a new study, those that its file enqueues."""
    space = definition.space
    if trials:
        return [
            (configuration(space, given_params(trial)), f"trial {root_number(trial)}")
            for trial in trials
        ]
    return [
        (configuration(space, definition.enqueued_params(index)), entry.tag)
        for index, entry in enumerate(definition.enqueue)
    ]


def settle(
    study: optuna.Study, definition: StudyDefinition, sources: Sequence[WarmSource], budget: int
) -> None:
    """Store which configurations of sources a study tries, by `plan`, without queuing any.

    Args:
        study: the stored study, which only its workers change meanwhile.
        definition: its definition.
        sources: the sources.
        budget: how many trials are scored in all.

    Raises:
        ConfigError: as `plan` raises it; nothing is stored.
    """
    if made := plan(definition, sources, budget, study):
        starts = [*WarmStart.all_of(study), *made]
        study.set_user_attr(ATTRIBUTE, [start.to_mapping() for start in starts])


def queue(study: optuna.Study, definition: StudyDefinition, budget: int) -> None:
    """Queue what was settled and is no trial of a study yet; a finished study gets no row.

    Args:
        study: the stored study, which only its workers change meanwhile.
        definition: its definition.
        budget: how many trials are scored in all.
    """
    entries = [entry for start in WarmStart.all_of(study) for entry in start.entries]
    if not entries or num_scored(study.get_trials(deepcopy=False)) >= budget:
        return
    space = definition.space
    for entry in sorted(entries, key=_number):
        params = space.fill(entry.values, f"study {definition.name}: {entry.tag}")
        wanted = configuration(space, params)
        trials = study.get_trials(deepcopy=False)
        if any(wanted <= configuration(space, given_params(trial)) for trial in trials):
            continue
        attrs = attributes(tag=entry.tag, metadata=entry.metadata)
        study.enqueue_trial(params, user_attrs=attrs)


def _number(entry: Enqueued) -> int:
    return int(entry.tag.removeprefix(TAG))

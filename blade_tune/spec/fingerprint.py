"""A study's identity: what may not change between two runs of it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from blade_tune.errors import StudyDiffersError
from blade_tune.parameter import Value
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.old_words import modern_names

OBJECTIVE_VERSION = 3  # raised together with a [Numbers] line of the changelog when the same trial gives another value


def fingerprint(definition: StudyDefinition, data_hash: str) -> dict[str, Any]:
    """Everything a trial's value depends on, but for its parameters.

    Settings that the space leaves out stand in it with their defaults, so that a new default is another study. Trials,
    sampler, pruner, workers and places are not identity.
    """
    members = [f"{member.study}:{member.trial} {member.digest}" for member in definition.settled_members]
    return {
        "data": data_hash,
        "model": definition.model,
        **({"members": members} if members else {}),
        "space": {**_defaults(definition), **definition.space.canonical()},
        "objective": definition.objective.model_dump(mode="json"),
        "seed": definition.search.seed,
        "objective_version": OBJECTIVE_VERSION,
    }


def differences(stored: Mapping[str, Any], definition: StudyDefinition, data_hash: str) -> list[tuple[str, Any, Any]]:
    """The fields in which a stored fingerprint differs from that of a study now, with what each has; None is nothing.

    A setting that the stored one does not have is younger than it, and its default is how things were before.
    """
    space = {**_defaults(definition), **modern_names(stored["space"])}
    before, after = _fields({**stored, "space": space}), _fields(fingerprint(definition, data_hash))
    names = sorted({*before, *after})
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def require_same(stored: Mapping[str, Any], definition: StudyDefinition, data_hash: str) -> None:
    """Refuse to add trials to a study that asks another question.

    Args:
        stored: fingerprint.
        definition: of the study now.
        data_hash: of its data now.

    Raises:
        StudyDiffersError: with a line for each field that differs.
    """
    differing = differences(stored, definition, data_hash)
    if differing:
        lines = [f"  {name}: stored {before!r}, now {after!r}" for name, before, after in differing]
        raise StudyDiffersError(
            f"study {definition.name} was made with other settings:\n" + "\n".join(lines) + "\n"
            "Run it with the stored ones, or start a study of another name (copy the study file)."
        )


def training_seed(study_seed: int, values: Mapping[str, Value], replicate: int = 0) -> int:
    """The seed of a training: of the study, the configuration and the number of its repeat."""
    return _digest([study_seed, dict(sorted(values.items())), replicate])


def shared_seed(study_seed: int, index: int) -> int:
    """The seed of the given place that all compared configurations are trained on; no trial of a search has it."""
    return _digest([study_seed, "shared", index])


def is_audited(study_seed: int, number: int, share: float) -> bool:
    """Whether a trial is one of the share that is finished though the pruner would end it; known before it starts."""
    return _digest([study_seed, "audit", number]) < share * 2**32


def sampler_seed(study_seed: int, trial_number: int | None = None, draw: int = 0) -> int:
    """The seed of one draw of a trial's proposal, or, without a number, of a sampler that all trials share."""
    return _digest([study_seed, trial_number, *([draw] if draw else [])])


def _defaults(definition: StudyDefinition) -> dict[str, Any]:
    """Of every setting of the study's model and training, by dotted name, as JSON has them."""
    defaults = {
        f"{group}.{name}": field.default
        for group, config in definition.configs.items()
        for name, field in config.model_fields.items()
    }
    return dict(json.loads(json.dumps(defaults)))


def _digest(content: Any) -> int:
    text = json.dumps(content, sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")  # numpy's seeds have 32 bits


def _fields(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fingerprint by dotted name; a range of the space is one of them."""
    fields: dict[str, Any] = {}
    for name, value in identity.items():
        inner = (
            {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, Mapping) else {name: value}
        )
        fields |= inner
    return fields

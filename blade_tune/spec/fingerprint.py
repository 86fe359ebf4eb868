"""Fingerprints of studies, which may not change between two runs, and the seeds derived from a study's seed.

Each seed is a hash of what it is for (`_digest`), so it is the same in every process and after every restart.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from blade_tune.errors import StudyDiffersError
from blade_tune.models.settings.earlier import defaults_then
from blade_tune.parameter import Value
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.old_words import modern_names

# To be raised, with a [Numbers] line in the changelog, when the same trial gives another value.
OBJECTIVE_VERSION = 3


def fingerprint(definition: StudyDefinition, data_hash: str) -> dict[str, Any]:
    """Return all that the value of a trial depends on, besides the trial's own parameters, for JSON.

    The settings that the space leaves out have their defaults in it, so that a version with another default makes
    another study. The number of trials, the sampler, the pruner, the workers and the folders are no part of it.

    Args:
        definition: the study, with settled members.
        data_hash: the hash of its data.
    """
    combined = [
        f"{member.study}:{member.trial} {member.digest}" for member in definition.settled_members
    ]
    members = {"members": combined} if combined else {}
    return {
        "data": data_hash,
        "model": definition.model,
        **members,
        "space": {**_defaults(definition), **definition.space.canonical()},
        "objective": definition.objective.model_dump(mode="json"),
        "seed": definition.search.seed,
        "objective_version": OBJECTIVE_VERSION,
    }


def differences(
    stored: Mapping[str, Any], definition: StudyDefinition, data_hash: str
) -> list[tuple[str, Any, Any]]:
    """Compare a stored fingerprint with that of a study now.

    A setting that the stored fingerprint lacks was added by a later version. It counts as stored with its default, or
    with what was done before where that is another (`EARLIER`). Defaults are no part of a study of runs, each of which
    is given its whole configuration.

    Returns:
        For each field that differs its dotted name, the stored value and the value now; None for no value.
    """
    space = modern_names(stored["space"])
    earlier = {
        f"model.{name}": value for name, value in defaults_then(definition.model, {}).items()
    }
    before = _fields({**stored, "space": {**_defaults(definition), **earlier, **space}})
    after = _fields(fingerprint(definition, data_hash))
    names = sorted({*before, *after})
    if definition.is_given:
        own = {f"space.{name}" for name in definition.space.fixed}
        names = [name for name in names if name in own or not name.startswith("space.")]
    compared = [(name, before.get(name), after.get(name)) for name in names]
    return [(name, then, now) for name, then, now in compared if then != now]


def require_same(stored: Mapping[str, Any], definition: StudyDefinition, data_hash: str) -> None:
    """Refuse to add trials to a study that asks another question.

    Args:
        stored: the stored fingerprint.
        definition: the study as it is now.
        data_hash: the hash of its data now.

    Raises:
        StudyDiffersError: the fingerprints differ; the message has a line for each field that does.
    """
    differing = differences(stored, definition, data_hash)
    if differing:
        lines = [f"  {name}: stored {before!r}, now {after!r}" for name, before, after in differing]
        raise StudyDiffersError(
            f"study {definition.name} was made with other settings:\n" + "\n".join(lines) + "\n"
            "Run it with the stored ones, or start a study of another name (copy the study file)."
        )


def training_seed(study_seed: int, values: Mapping[str, Value], replicate: int = 0) -> int:
    """Return the seed of a training, which depends on the study, the configuration and the number of its repeat.

    Args:
        study_seed: the seed of the study.
        values: the configuration by dotted name.
        replicate: how many earlier trials had the same configuration.
    """
    return _digest([study_seed, dict(sorted(values.items())), replicate])


def shared_seed(study_seed: int, index: int) -> int:
    """Return one of the seeds on which all compared configurations are trained, by its index.

    It does not depend on the configuration, and no trial of a search is meant to have it.
    """
    return _digest([study_seed, "shared", index])


def is_audited(study_seed: int, number: int, share: float) -> bool:
    """Whether a trial is among those that are finished even if the pruner would end them, to audit the pruner.

    This is decided by the trial's number, before the trial starts.

    Args:
        study_seed: the seed of the study.
        number: the number of the trial.
        share: the share of trials to finish, from 0 to 1.
    """
    return _digest([study_seed, "audit", number]) < share * 2**32


def sampler_seed(study_seed: int, trial_number: int | None = None, draw: int = 0) -> int:
    """Return the seed of one draw of a trial's proposal, or of a sampler that all trials share.

    Args:
        study_seed: the seed of the study.
        trial_number: the number of the trial; None for the shared sampler.
        draw: which draw for the trial, from 0.
    """
    parts = [study_seed, trial_number]
    if draw:
        parts.append(draw)
    return _digest(parts)


def _defaults(definition: StudyDefinition) -> dict[str, Any]:
    """Return the default of every setting of a study's model and training by dotted name, in the types of JSON."""
    defaults = {}
    for group, config in definition.configs.items():
        for name, field in config.model_fields.items():
            defaults[f"{group}.{name}"] = field.default
    return dict(json.loads(json.dumps(defaults)))


def _digest(content: Any) -> int:
    """Return a hash of JSON content, an integer of 32 bits."""
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    # NumPy's seeds have 32 bits.
    return int.from_bytes(digest[:4], "big")


def _fields(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a fingerprint by dotted name, where each parameter of the space is one field."""
    fields: dict[str, Any] = {}
    for name, value in identity.items():
        if isinstance(value, Mapping):
            fields |= {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            fields[name] = value
    return fields

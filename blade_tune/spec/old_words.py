"""Translation of study files and stored studies from the names and defaults of earlier versions to today's."""

from collections.abc import Mapping
from typing import Any

from blade_tune.models.settings.earlier import defaults_then
from blade_tune.space import Space

# Settings that no longer exist, each with the value at which it had no effect.
GONE = {"optimizer": "adam", "averaging": 0.0, "clip_norm": 0.0, "warmup_steps": 0}


def modernized(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study file or a stored definition with the training settings under today's names."""
    changed = dict(content)
    # The settings that the study fixes.
    train = changed.get("train")
    if isinstance(train, Mapping):
        changed["train"] = modern_names(train)
    # The settings of the study's space.
    space = changed.get("space")
    if isinstance(space, Mapping):
        train = space.get("train")
        if isinstance(train, Mapping):
            changed["space"] = {**space, "train": modern_names(train)}
    return changed


def modern_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under today's names, without those that no longer exist and had no effect.

    `plateau_schedule`, which was true or false, became `schedule`, which is "plateau" or "constant". An old name whose
    new name is there too stays as it is, as does a setting that no longer exists but had an effect; both are refused
    later, with a message.

    Args:
        settings: settings by name, either all dotted (`train.schedule`) or none.
    """
    kept = {name: value for name, value in settings.items() if not _had_no_effect(name, settings)}
    modern = {}
    for old_name, value in kept.items():
        name = old_name.replace("plateau_schedule", "schedule")
        if name == old_name or name in kept:
            modern[old_name] = value
        elif isinstance(value, bool):
            modern[name] = "plateau" if value else "constant"
        else:
            modern[name] = value
    return modern


def _had_no_effect(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting no longer exists and has a value at which it did nothing."""
    group, dot, field = name.rpartition(".")
    value = settings[name]
    if field == "optimizer" and value == "adamw":  # the same as adam without weight decay
        return not settings.get(f"{group}{dot}weight_decay", 0.0)
    return field in GONE and value == GONE[field]


def with_earlier_defaults(space: Space, model: str, stored_space: Mapping[str, Any]) -> Space:
    """Return a stored study's space with those defaults fixed that were others when it was stored.

    Args:
        space: the space, of which what it fixes or searches itself stays as it is.
        model: the model of the study.
        stored_space: the part `space` of its fingerprint.
    """
    then = defaults_then(model, modern_names(stored_space))
    settled = {*space.fixed, *space.free}
    added = {f"model.{name}": then[name] for name in then if f"model.{name}" not in settled}
    return space.with_fixed(added, space.place)

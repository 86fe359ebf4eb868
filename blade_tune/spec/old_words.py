"""Translation of study files and stored studies from the names of earlier versions to today's."""

from collections.abc import Mapping
from typing import Any

# Settings that no longer exist, each with the value at which it had no effect.
GONE = {"optimizer": "adam", "averaging": 0.0, "clip_norm": 0.0, "warmup_steps": 0}


def modernized(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study file or a stored definition with the training settings under today's names."""
    changed = dict(content)
    if isinstance(train := changed.get("train"), Mapping):
        changed["train"] = modern_names(train)
    space = changed.get("space")
    if isinstance(space, Mapping) and isinstance(train := space.get("train"), Mapping):
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
    settings = {key: value for key, value in settings.items() if not _had_no_effect(key, settings)}
    today = {key: key.replace("plateau_schedule", "schedule") for key in settings}
    names = {key: key if name in settings else name for key, name in today.items()}
    schedules = {True: "plateau", False: "constant"}
    return {
        names[key]: schedules.get(value, value)
        if key != names[key] and isinstance(value, bool)
        else value
        for key, value in settings.items()
    }


def _had_no_effect(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting no longer exists and has a value at which it did nothing."""
    group, _, name = key.rpartition(".")
    if name == "optimizer" and settings[key] == "adamw":  # the same as adam without weight decay
        return not settings.get(f"{group}.weight_decay" if group else "weight_decay", 0.0)
    return name in GONE and settings[key] == GONE[name]

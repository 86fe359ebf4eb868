"""Study files and stored studies in the words of earlier versions."""

from collections.abc import Mapping
from typing import Any

GONE = {"optimizer": "adam", "averaging": 0.0, "clip_norm": 0.0, "warmup_steps": 0}  # and where each did nothing


def modernized(content: Mapping[str, Any]) -> dict[str, Any]:
    """A study file or a stored definition in today's words: `plateau_schedule` became `schedule`."""
    changed = dict(content)
    if isinstance(train := changed.get("train"), Mapping):
        changed["train"] = modern_names(train)
    space = changed.get("space")
    if isinstance(space, Mapping) and isinstance(train := space.get("train"), Mapping):
        changed["space"] = {**space, "train": modern_names(train)}
    return changed


def modern_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under today's names, dotted or not, without those that are gone and had no effect.

    An old name beside today's stays, as does a gone setting that had an effect, and both are refused later.
    """
    settings = {key: value for key, value in settings.items() if not _had_no_effect(key, settings)}
    today = {key: key.replace("plateau_schedule", "schedule") for key in settings}
    names = {key: key if name in settings else name for key, name in today.items()}
    schedules = {True: "plateau", False: "constant"}
    return {
        names[key]: schedules.get(value, value) if key != names[key] and isinstance(value, bool) else value
        for key, value in settings.items()
    }


def _had_no_effect(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting is gone and stood at a value under which it did nothing."""
    group, _, name = key.rpartition(".")
    if name == "optimizer" and settings[key] == "adamw":  # adam but for its decay
        return not settings.get(f"{group}.weight_decay" if group else "weight_decay", 0.0)
    return name in GONE and settings[key] == GONE[name]

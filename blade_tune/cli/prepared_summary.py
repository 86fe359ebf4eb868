"""Summary of a preparation: what was read, what is left of it, and what was merged or left out, and why."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.cli.output import print_facts, print_rows
from blade_tune.config import flatten
from blade_tune.data.auxiliary import auxiliaries
from blade_tune.data.raw.since_1970 import as_date

# Reason of `left_out` -> what it says; {name} is a number of the recipe
REASONS = {
    "no_user": "no user (empty, or a word such as NULL)",
    "no_item": "no item (empty, or a word such as NULL)",
    "no_time": "no time",
    "seen_only": "only seen, by --seen: no history, but not recommended",
    "no_behavior": "none of the behaviors",
    "other_event": "events that are none of the behaviors",
    "merged": "merged with a row of the same user, item and time or session",
    "repeated": "a user's item with the same behaviors as before; --keep-repeats keeps them",
    "rare_item": "items with fewer than {min_item_targets} target interactions",
    "rare_user": "users with fewer than {min_user_targets} target interactions",
    "not_sampled": "users who were not drawn",
    "after_test": "after a user's last target interaction",
}
UNSEEN = "{part} rows whose {kind} has no train row"


def print_summary(facts: Mapping[str, Any], out: Path, form: str) -> None:
    """Print what a preparation wrote, in the form "table", "json" or "csv".

    Args:
        facts: what `preparation.json` says.
        out: the folder that was written.
        form: of the output.
    """
    left_out = {reason: count for reason, count in facts["left_out"].items() if count}
    shown = {
        "folder": str(out),
        "users": facts["users"],
        "items": facts["items"],
        "interactions": sum(facts["parts"].values()),
        "parts": facts["parts"],
        **({"time": facts["time_span"]} if facts.get("time_span") else {}),
        "auxiliary": facts["auxiliary"],
        "rows_read": facts["rows"],
        "left_out": left_out,
    }
    if form == "json":
        print_facts(shown, form)
        return
    notes = {f"left_out.{reason}": _why(reason, facts["recipe"]) for reason in left_out}
    notes |= {
        f"time.{end}": as_date(text) or "" for end, text in facts.get("time_span", {}).items()
    }
    auxiliary = auxiliaries(facts["auxiliary"])
    shown["auxiliary"] = ", ".join(auxiliary) or "none"
    no_target = "no target" if len(auxiliary) == 1 else "no targets"
    notes["auxiliary"] = (
        f"{no_target}; the others are" if auxiliary else "every behavior is a target"
    )
    rows = [
        {"fact": name, "value": value, "note": notes.get(name, "")}
        for name, value in flatten(shown).items()
    ]
    print_rows(rows, form)


def _why(reason: str, recipe: Mapping[str, Any]) -> str:
    unseen = re.fullmatch(r"(\w+)_unseen_(\w+)", reason)
    if unseen:
        return UNSEEN.format(part=unseen[1], kind=unseen[2])
    return REASONS[reason].format(**recipe)

"""Configurations of winners: as a table, and as entries of a study file's `enqueue` that try them again as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from blade_tune.config import write_yaml
from blade_tune.parameter import Value
from blade_tune.report.section import value_text
from blade_tune.report.text_tables import Table
from blade_tune.selection.confirmation import Confirmation
from blade_tune.space import nest
from blade_tune.spec.published import LENGTH
from blade_tune.study.stored import StoredStudy


def enqueue_entry(stored: StoredStudy, confirmation: Confirmation) -> dict[str, Any]:
    """Return an entry for `enqueue` by which a study of the same model and length tries a confirmed winner first.

    The configuration is whole: what the entry leaves out has its default, whatever the study's space says. How long
    trials train is the study's and no part of it.
    """
    winner = confirmation.winner
    values = {
        name: value
        for name, value in winner.values.items()
        if name.removeprefix("train.") not in LENGTH
    }
    metadata = {
        "study": stored.definition.name,
        "trial": winner.trial,
        f"valid {confirmation.metric}": round(winner.estimate.mean, 6),
        "runs": len(winner.runs),
    }
    return {"tag": "winner", **nest(values), "whole": True, "metadata": metadata}


def enqueue_text(stored: StoredStudy, confirmation: Confirmation) -> str:
    """Return the section `enqueue` of a study file with a confirmed winner."""
    return write_yaml({"enqueue": [enqueue_entry(stored, confirmation)]})


def configuration_table(values: Mapping[str, Mapping[str, Value]]) -> Table:
    """Return a table with a row for each setting that any of some configurations has, and a column a configuration.

    Args:
        values: name of a configuration -> its values, by dotted name of the setting.
    """
    names = sorted({name for configuration in values.values() for name in configuration})
    rows: list[tuple[str, Sequence[str]]] = [
        (
            name,
            [value_text(each[name]) if name in each else "" for each in values.values()],
        )
        for name in names
    ]
    note = "empty: the model has no such setting, or its default"
    return Table(("setting", *values), rows, "Configurations of the confirmed winners.", [note])

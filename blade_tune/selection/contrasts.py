"""Contrasts of a comparison: which models are compared with one, named before anything runs and kept in its ledger.

With all pairs of nine models there are 36 tests, which leaves each of them little power; eight contrasts with one model
leave more. They count only if they were named before their figures were seen, so the ledger says when that was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blade_tune.errors import ConfigError
from blade_tune.spec.definition import COMBINATION
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy

COMMAND = "compare"  # how the commands that name contrasts of whole models begin


@dataclass(frozen=True)
class Contrasts:
    """The models that are compared with one, and how much was known when they were named."""

    against: str
    models: tuple[str, ...]  # the others
    when: str  # time that they were first named
    scored: int  # trials of all searches that were scored by then
    opened: int  # openings of the test rows by then
    others: int  # other sets of contrasts that were named in this ledger


def require_known(against: str | None, models: Sequence[str]) -> None:
    """Raise an error if the model to compare with is not among those that are compared.

    Raises:
        ConfigError: it is not, or it is a combination of others.
    """
    single = [model for model in models if model != COMBINATION]
    if against is not None and against not in single:
        raise ConfigError(f"--against {against}: must be one of --models {','.join(single)}.")


def name_contrasts(
    studies: Sequence[StoredStudy],
    against: str,
    command: str = "",
    *,
    later: Sequence[str] = (),
) -> None:
    """Write contrasts to the ledger of the search that all others are compared with, unless they are there.

    Args:
        studies: the searches.
        against: the label of that search.
        command: the command that names them, if it is not `compare --against`.
        later: labels of searches that are compared too and can be opened later only.
    """
    reference, others = _parts(studies, against)
    others = (*others, *later)
    if _named(reference, others):
        return
    reference.note(
        {
            "command": command or f"{COMMAND} --against {against}",
            "contrasts": list(others),
            "scored": sum(num_scored(stored.trials) for stored in studies),
            "opened": sum(len(stored.ledger.openings()) for stored in studies),
        }
    )


def contrasts_of(studies: Sequence[StoredStudy], against: str) -> Contrasts | None:
    """Return the contrasts with a model as its ledger has them; None if they were never named."""
    reference, others = _parts(studies, against)
    return _contrasts(reference, others)


def latest_contrasts(studies: Sequence[StoredStudy]) -> Contrasts | None:
    """Return the contrasts that `compare` named last in the ledgers of searches; None if it never named any.

    Their models may be more than the searches, or fewer.
    """
    named = [
        (entry["when"], reference, entry["contrasts"])
        for reference in studies
        for entry in reference.ledger.entries()
        if "contrasts" in entry and entry["command"].startswith(f"{COMMAND} ")
    ]
    if not named:
        return None
    _, reference, others = max(named, key=lambda line: line[0])
    return _contrasts(reference, others)


def _contrasts(reference: StoredStudy, others: Sequence[str]) -> Contrasts | None:
    """Return the contrasts of some models with a search's, as its ledger has them; None if they were never named."""
    entries = _named(reference, others)
    if not entries:
        return None
    all_entries = [entry for entry in reference.ledger.entries() if "contrasts" in entry]
    first = entries[0]
    return Contrasts(
        against=reference.label,
        models=tuple(others),
        when=first["when"],
        scored=first["scored"],
        opened=first["opened"],
        others=len(all_entries) - len(entries),
    )


def _named(reference: StoredStudy, others: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lines of a ledger that name just these contrasts."""
    return [
        entry
        for entry in reference.ledger.entries()
        if sorted(entry.get("contrasts", [])) == sorted(others)
    ]


def _parts(studies: Sequence[StoredStudy], against: str) -> tuple[StoredStudy, tuple[str, ...]]:
    """Return the search that the others are compared with, and the labels of the others."""
    by_label = {stored.label: stored for stored in studies}
    return by_label[against], tuple(label for label in by_label if label != against)

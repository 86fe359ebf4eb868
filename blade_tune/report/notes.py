"""Notes on the dashboard's pages, of which one part is blade-tune's and the rest what people have written."""

from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna_dashboard import get_note, save_note

END_OF_NOTE = "*Written anew by blade-tune after each run; what stands below this line is kept.*"


@dataclass(frozen=True)
class Noted:
    """A finished trial as optuna-dashboard's functions on notes want a running one."""

    storage: BaseStorage
    study: optuna.Study
    _trial_id: int

    @classmethod
    def of(cls, study: optuna.Study, trial: FrozenTrial) -> "Noted":
        """Return a trial of a study."""
        return cls(study._storage, study, trial._trial_id)


def put_note(owner: optuna.Study | Noted, text: str) -> None:
    """Write our part of the note on a study or a trial, unless it is there already.

    It ends with END_OF_NOTE. What users wrote below it, or before there was one, is kept.
    """
    before = get_note(owner)
    _, mark, users_words = before.partition(END_OF_NOTE)
    if before and not mark:
        users_words = f"\n\n{before}"
    after = f"{text}\n{END_OF_NOTE}{users_words}"
    if after != before:
        save_note(owner, after)

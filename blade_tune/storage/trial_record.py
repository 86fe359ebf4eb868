"""The user attributes of a trial's row, all declared here, and the reasons for which a trial ends.

Optuna stores a trial's parameters, state, value and reports in columns of its own. Everything else that blade-tune
stores of a trial is a user attribute, by the name that `TrialRecord` declares. Databases of earlier versions have these
names too, so a name never changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar, overload

from optuna.trial import FrozenTrial, Trial

from blade_tune.parameter import Value

T = TypeVar("T")
D = TypeVar("D")
# The attributes with the validation metrics of the best epoch have names that begin so.
METRIC_PREFIX = "valid."


class EndReason(StrEnum):
    """The reason for which a trial ended before its training was over; docs/studies.md says what follows from each."""

    PRUNED = "pruned"
    PAUSED = "paused"  # a later row goes on with the trial if it is promoted
    INVALID = "invalid"  # the configuration breaks a constraint of the model
    OUT_OF_MEMORY = "oom"
    NOT_FINITE = "nan"  # a loss or a weight
    ERROR = "error"
    TIMEOUT = "timeout"  # it took longer than a trial may
    INTERRUPTED = "interrupted"  # by a signal, a full disk or an outage; a later row continues it
    # Complete, but ended early: the steps or hours of the study's budget were spent.
    BUDGET = "budget"
    LOST = "lost"  # its worker is gone; a later row continues it
    SUPERSEDED = "superseded"  # another worker continues it in a later row

    @property
    def is_continued(self) -> bool:
        """Whether a later row continues the trial."""
        return self in CONTINUED


CONTINUED: tuple[str, ...] = (EndReason.INTERRUPTED, EndReason.LOST, EndReason.SUPERSEDED)


class Attribute(Generic[T]):
    """A descriptor for one user attribute, declared in `TrialRecord` under its name in the database.

    Args:
        column: whether `blade-tune trials` has a column of the attribute.
        brief: whether the column is among the few that fit a screen.
        inherited: whether the row that continues a trial starts with the attribute's value.
    """

    name: str

    def __init__(
        self, *, column: bool = False, brief: bool = False, inherited: bool = True
    ) -> None:
        self.column = column
        self.brief = brief
        self.inherited = inherited

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, record: None, owner: type) -> "Attribute[T]": ...
    @overload
    def __get__(self, record: "TrialRecord", owner: type) -> T: ...
    def __get__(self, record: "TrialRecord | None", owner: type) -> "Attribute[T] | T":
        if record is None:  # read from the class: the declaration itself
            return self
        value: T = record.stored[self.name]
        return value

    def __set__(self, record: "TrialRecord", value: T) -> None:
        record.write({self.name: value})


class TrialRecord:
    """Typed access to the user attributes of a trial's row.

    `record.seed` reads the attribute `seed`, and raises a KeyError where the row does not have it.
    `record.get(TrialRecord.seed)` returns None there. `record.seed = 7` writes the attribute to the database.
    `TrialRecord.seed` is the declaration, whose `name` is the attribute's.

    Args:
        trial: Optuna's trial; a running one where attributes are to be written.
    """

    # What `blade-tune trials` shows, in order of its columns.
    best_epoch = Attribute[int](column=True, brief=True)
    # Epochs trained in all attempts together.
    epochs = Attribute[int](column=True, brief=True, inherited=False)
    seconds = Attribute[float](column=True, brief=True)  # of training in all attempts together
    # Processor time of the training in all attempts together, its threads together.
    cpu_seconds = Attribute[float](column=True)
    # Optimizer steps in all attempts together; 0 of a fitted model.
    steps = Attribute[int](column=True)
    seed = Attribute[int](column=True, inherited=False)  # of the training
    num_parameters = Attribute[int](column=True)
    # The epoch at which the pruner would have ended a trial that was finished anyway, to audit the pruner.
    pruned_at = Attribute[int](column=True)
    # The name of an enqueued configuration or of a run.
    tag = Attribute[str](column=True, brief=True)
    message = Attribute[str](column=True, inherited=False)  # details of the reason

    # What programs read.
    # An EndReason, but as text, since a later version may have stored a new one.
    reason = Attribute[str](inherited=False)
    root = Attribute[int]()  # the number of the first row of a trial that was continued
    # The number of the paused row that a promoted trial goes on from. Its budget was charged when that row ended.
    promoted = Attribute[int]()
    given = Attribute[Mapping[str, Any]]()  # the fields of a `Given`, for a row of a study of runs
    # What is said of an enqueued configuration, for people: by its study file, or where a warm start comes from.
    metadata = Attribute[Mapping[str, Any]]()
    replicate = Attribute[int]()  # how many earlier trials had the same configuration
    # Whether it is to be trained with no other trial on its device, after memory ran out.
    alone = Attribute[bool]()
    retries = Attribute[int]()  # times in a row that a worker was lost without progress
    reached = Attribute[int]()  # the latest epoch that any attempt has reported
    # The number of CPU threads of the training, on which the last bits of sums depend.
    threads = Attribute[int]()
    device = Attribute[str]()
    versions = Attribute[str]()  # of Python and the packages
    commit = Attribute[str]()  # of blade-tune
    # For each reported epoch: its number, the seconds of training up to it, and the seconds since the row started.
    clock = Attribute[list[tuple[int, float, float]]](inherited=False)
    # The SHA-256 of each file that the trial left, by file name.
    files = Attribute[Mapping[str, str]](inherited=False)
    # Of a run: how far changed inputs move the trained model, from `moves.measure_moves`.
    moves = Attribute[Mapping[str, float]](inherited=False)
    # The comparison with the reference baseline, from `verdict.pair`.
    paired = Attribute[Mapping[str, Any]]()

    def __init__(self, trial: Trial | FrozenTrial) -> None:
        self._trial = trial

    @property
    def stored(self) -> Mapping[str, Any]:
        """All user attributes of the row by name, including those that other programs wrote."""
        return self._trial.user_attrs

    @overload
    def get(self, attribute: Attribute[T]) -> T | None: ...
    @overload
    def get(self, attribute: Attribute[T], default: D) -> T | D: ...
    def get(self, attribute: Attribute[T], default: D | None = None) -> T | D | None:
        """Return the value of an attribute, or the default where the row does not have it."""
        return self.stored.get(attribute.name, default)

    def __contains__(self, attribute: Attribute[Any]) -> bool:
        return attribute.name in self.stored

    @property
    def metrics(self) -> dict[str, float]:
        """The validation metrics of the best epoch by name; empty before the first epoch is evaluated."""
        return {
            name.removeprefix(METRIC_PREFIX): value
            for name, value in self.stored.items()
            if name.startswith(METRIC_PREFIX)
        }

    @metrics.setter
    def metrics(self, metrics: Mapping[str, float]) -> None:
        self.write({f"{METRIC_PREFIX}{name}": value for name, value in metrics.items()})

    def write(self, attributes: Mapping[str, Any]) -> None:
        """Write attributes by name to the database.

        Raises:
            UpdateFinishedTrialError: the trial of this row has finished.
        """
        for name, value in attributes.items():
            self._trial.set_user_attr(name, value)

    @property
    def inherited(self) -> dict[str, Any]:
        """The attributes to copy to the row that continues the trial, including those of other programs."""
        own = {name for name, attribute in ATTRIBUTES.items() if not attribute.inherited}
        return {name: value for name, value in self.stored.items() if name not in own}


ATTRIBUTES: dict[str, Attribute[Any]] = {
    name: attribute
    for name, attribute in vars(TrialRecord).items()
    if isinstance(attribute, Attribute)
}


def columns(*, brief: bool = False) -> list[str]:
    """Return the names of the attributes that `blade-tune trials` shows, in order of declaration.

    Args:
        brief: whether to return only those that fit a screen.
    """
    shown = {name: attribute for name, attribute in ATTRIBUTES.items() if attribute.column}
    return [name for name, attribute in shown.items() if attribute.brief or not brief]


def attributes(**values: Any) -> dict[str, Any]:
    """Return attributes as a dictionary with checked names, for a row that is added or ended as a whole.

    Raises:
        KeyError: `TrialRecord` does not declare an attribute of one of the names.
    """
    return {ATTRIBUTES[name].name: value for name, value in values.items()}


@dataclass(frozen=True)
class Given:
    """The training that a row of a study of runs asks for: a whole configuration and a seed."""

    values: Mapping[str, Value]  # by dotted name, defaults included
    seed: int

    @classmethod
    def of(cls, trial: Trial | FrozenTrial) -> "Given | None":
        """Return what a row of a study of runs was given; None for a trial of a search."""
        given = TrialRecord(trial).get(TrialRecord.given)
        return None if given is None else cls(**given)

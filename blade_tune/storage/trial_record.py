"""What a trial's row says beyond Optuna's own columns, declared here only: its user attributes, and why it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar, overload

from optuna.trial import FrozenTrial, Trial

from blade_tune.parameter import Value

T = TypeVar("T")
D = TypeVar("D")
METRIC_PREFIX = "valid."  # of the attributes that hold the validation metrics of the best epoch


class EndReason(StrEnum):
    """Why a trial ended before it was complete; docs/studies.md says what follows from each."""

    PRUNED = "pruned"
    INVALID = "invalid"  # the configuration breaks a rule of the model
    OUT_OF_MEMORY = "oom"
    NOT_FINITE = "nan"  # a loss or a weight
    ERROR = "error"
    TIMEOUT = "timeout"  # longer than a trial may take
    INTERRUPTED = "interrupted"  # by a signal, a full disk or an outage; a later row continues it
    LOST = "lost"  # its worker is gone; a later row continues it
    SUPERSEDED = "superseded"  # another worker has it, in a later row

    @property
    def is_continued(self) -> bool:
        """Whether a later row continues the trial."""
        return self in CONTINUED


CONTINUED: tuple[str, ...] = (EndReason.INTERRUPTED, EndReason.LOST, EndReason.SUPERSEDED)


class Attribute(Generic[T]):
    """One user attribute, declared in the body of `TrialRecord` under the name that the database has.

    Args:
        column: whether `trials` has a column of it.
        brief: whether the column is among those that fit a screen.
        inherited: whether the row that continues the trial has it too.
    """

    name: str

    def __init__(self, *, column: bool = False, brief: bool = False, inherited: bool = True) -> None:
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
        if record is None:
            return self
        value: T = record.stored[self.name]
        return value

    def __set__(self, record: "TrialRecord", value: T) -> None:
        record.write({self.name: value})


class TrialRecord:
    """The user attributes of a trial's row.

    `record.seed` reads one, and raises a KeyError where the row does not have it; `record.seed = 7` writes one to the
    database; `record.get(TrialRecord.seed)` is None where the row does not have it; `TrialRecord.seed` is the
    declaration, for its name.

    Args:
        trial: of Optuna; to write, one that runs.
    """

    best_epoch = Attribute[int](column=True, brief=True)
    epochs = Attribute[int](column=True, brief=True, inherited=False)  # trained, in all attempts
    seconds = Attribute[float](column=True, brief=True)  # of training, in all attempts
    seed = Attribute[int](column=True, inherited=False)
    num_parameters = Attribute[int](column=True)
    pruned_at = Attribute[int](
        column=True
    )  # the epoch of which the pruner said so, of a trial that went on to be audited
    tag = Attribute[str](column=True, brief=True)  # what an enqueued configuration or a run is called
    message = Attribute[str](column=True, inherited=False)  # more on the reason

    reason = Attribute[str](inherited=False)  # an EndReason, or one of a later version
    root = Attribute[int]()  # the number of the first row of a trial that was continued
    given = Attribute[Mapping[str, Any]]()  # what to train, where that was not searched: a Given
    metadata = Attribute[Mapping[str, Any]]()  # of an enqueued configuration, for people
    replicate = Attribute[int]()  # how many earlier trials had the same configuration
    alone = Attribute[bool]()  # to be trained with the device to itself, after memory ran out
    retries = Attribute[int]()  # times in a row that a worker was lost without progress
    reached = Attribute[int]()  # the epoch that these attempts did not get beyond
    threads = Attribute[int]()  # of the CPU, on whose number the last bits of sums depend
    device = Attribute[str]()
    versions = Attribute[str]()  # of Python and the packages
    commit = Attribute[str]()  # of blade-tune
    clock = Attribute[list[tuple[int, float, float]]](inherited=False)  # epoch, seconds of training, of the row
    files = Attribute[Mapping[str, str]](inherited=False)  # the SHA-256 of each file that the trial left, by name
    paired = Attribute[Mapping[str, Any]]()  # the comparison with the reference baseline, see `verdict.pair`

    def __init__(self, trial: Trial | FrozenTrial) -> None:
        self._trial = trial

    @property
    def stored(self) -> Mapping[str, Any]:
        """All user attributes, those of other programs too."""
        return self._trial.user_attrs

    @overload
    def get(self, attribute: Attribute[T]) -> T | None: ...
    @overload
    def get(self, attribute: Attribute[T], default: D) -> T | D: ...
    def get(self, attribute: Attribute[T], default: D | None = None) -> T | D | None:
        """The value of an attribute, or the default where the row does not have it."""
        return self.stored.get(attribute.name, default)

    def __contains__(self, attribute: Attribute[Any]) -> bool:
        return attribute.name in self.stored

    @property
    def metrics(self) -> dict[str, float]:
        """The validation metrics of the best epoch, by name; empty while there is none."""
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
            UpdateFinishedTrialError: the row has ended.
        """
        for name, value in attributes.items():
            self._trial.set_user_attr(name, value)

    @property
    def inherited(self) -> dict[str, Any]:
        """The attributes that the row which continues the trial shall have."""
        own = {name for name, attribute in ATTRIBUTES.items() if not attribute.inherited}
        return {name: value for name, value in self.stored.items() if name not in own}


ATTRIBUTES: dict[str, Attribute[Any]] = {
    name: attribute for name, attribute in vars(TrialRecord).items() if isinstance(attribute, Attribute)
}


def columns(*, brief: bool = False) -> list[str]:
    """The attributes that `trials` shows, or those of them that fit a screen, in order of declaration."""
    return [name for name, attribute in ATTRIBUTES.items() if (attribute.brief if brief else attribute.column)]


def attributes(**values: Any) -> dict[str, Any]:
    """Attributes by name, for a row that is added or ended as a whole.

    Raises:
        KeyError: `TrialRecord` declares none of this name.
    """
    return {ATTRIBUTES[name].name: value for name, value in values.items()}


@dataclass(frozen=True)
class Given:
    """What a row of a study of runs trains: a whole configuration by dotted name, on a seed."""

    values: Mapping[str, Value]
    seed: int

    @classmethod
    def of(cls, trial: Trial | FrozenTrial) -> "Given | None":
        """What a row was given; None for a trial of a search."""
        given = TrialRecord(trial).get(TrialRecord.given)
        return None if given is None else cls(**given)

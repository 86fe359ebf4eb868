"""Run settings: limits, workers, devices, folders and the database of a run.

They say how a study is run, and may differ from one run of it to the next. What a study is, its definition, is declared
in `spec.definition` and is fixed when the study is created.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from blade_tune.config import Settings
from blade_tune.spec.study_file import TRIALS, TrialCount

if TYPE_CHECKING:
    from blade_tune.study.workspace import Workspace

UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in UNIT_S))


def read_duration(value: Any) -> Any:
    """Return the seconds of a duration such as "90s", "30m", "8h", "1h30m" or "2d".

    A number, or a text that is one, is taken as seconds. Any other type is returned unchanged, for pydantic to refuse.

    Raises:
        ValueError: the text is no duration.
    """
    if not isinstance(value, str):
        return value
    match = DURATION.fullmatch(value.strip())
    if match and match[0]:
        counts = match.groupdict("0")
        return sum(float(count) * UNIT_S[unit] for unit, count in counts.items())
    try:
        return float(value)
    except ValueError:
        raise ValueError(
            "must be a duration such as 90s, 30m, 8h or 1h30m, or a number of seconds"
        ) from None


def read_gpus(value: Any) -> Any:
    """Return a number or a list of GPUs in the form of the flag `--gpus`, as text separated by commas.

    None and "none" become None, so that "none" can undo the choice of an earlier source of settings.
    """
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return None if value in (None, "none") else str(value)


def read_per_gpu(value: Any) -> Any:
    """Return a number of workers as an int, from a number or text; "auto" and None are returned unchanged.

    Raises:
        ValueError: the value is something else, or below 1.
    """
    if value is None or value == "auto":
        return value
    text = str(value)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("must be a whole number from 1 on, or auto")
    return int(text)


def folder(path: Path) -> Path:
    """Return a path that may be a folder's, which need not exist yet.

    Raises:
        ValueError: the path is that of a file.
    """
    # The shell has expanded `~` in a flag, but not in a settings file.
    path = Path(os.path.expanduser(path))
    if path.is_file():
        raise ValueError("must be a folder, not a file")
    return path


AtLeastOne = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, BeforeValidator(read_duration), Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Folder = Annotated[Path, AfterValidator(folder)]


class RunSettings(Settings):
    """Every setting of a run; command-line flags, settings files and environment variables take their names from here.

    `precedence.resolve` builds the settings from these sources. It also checks the one constraint between two fields:
    that `grace_s` is at least twice `heartbeat_s`.
    """

    trials: TrialCount | None = Field(
        None, description=f"{TRIALS}, not more; default: the study file's"
    )
    workers: AtLeastOne | None = Field(
        None, description="trials at a time; default: one a GPU, without a GPU one a core"
    )
    threads: AtLeastOne | None = Field(
        None,
        description="CPU threads of each worker; default: one, on GPUs an equal share of all; "
        "on a CPU another number changes the last bits of values",
    )
    device: str = Field("auto", description="where to train: auto, cpu, cuda or cuda:N")
    gpus: Annotated[str | None, BeforeValidator(read_gpus)] = Field(
        None, description="which GPUs: all, none, numbers (0,1), or GPU- and MIG- ids; default: all"
    )
    per_gpu: Annotated[int | Literal["auto"] | None, BeforeValidator(read_per_gpu)] = Field(
        None,
        description="workers on each GPU, or auto: as many as a probe finds useful; default: one",
    )
    keep: AtLeastOne = Field(5, description="best trials that keep their weights")
    max_consecutive_failures: AtLeastOne = Field(
        5, description="end when so many trials in a row fail (exit code 5)"
    )
    time: Seconds | None = Field(
        None, description="end after so long (90s, 30m, 8h); what runs is queued"
    )
    gpu_hours: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="end when the study has cost so many GPU hours in all",
    )
    trial_time: Seconds | None = Field(
        None, description="end a trial that runs for longer (90s, 30m, 8h)"
    )
    heartbeat_s: Seconds = Field(
        30, description="a worker says that it is alive every so many seconds"
    )
    grace_s: Seconds = Field(120, description="a worker that is silent for so many seconds is lost")
    cpu_price: Price | None = Field(
        None, description="what an hour of a CPU costs, so that `status` tells a study's cost"
    )
    gpu_price: Price | None = Field(None, description="what an hour of a GPU costs, likewise")
    storage: str | None = Field(
        None,
        description="database of studies, sqlite:///FILE or postgresql://USER@HOST/NAME; default: RESULTS/studies.db",
    )
    results: Folder = Field(Path("results"), description="folder of everything that runs write")
    data: Folder | None = Field(
        None, description="folder of the data's files; a stored study remembers it"
    )

    def cost(self, cpu_hours: float | None, gpu_hours: float) -> float | None:
        """Return what hours of CPUs and GPUs cost, in the currency of the prices; None without a price.

        Args:
            cpu_hours: None where they were not counted, by an earlier version.
            gpu_hours: a GPU that several workers share counts once.
        """
        if self.cpu_price is None and self.gpu_price is None:
            return None
        return (cpu_hours or 0.0) * (self.cpu_price or 0.0) + gpu_hours * (self.gpu_price or 0.0)

    @property
    def workspace(self) -> "Workspace":
        """The database and the results folder that the settings name.

        Raises:
            ConfigError: `storage` is not the URL of a supported database.
        """
        # Imported here since the libraries of a database take long to load, and help texts do without them.
        from blade_tune.study.workspace import Workspace

        return Workspace.at(self.storage, self.results)

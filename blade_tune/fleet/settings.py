"""How a study is run: how much, by whom, where; none of it is part of a study's identity."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from blade_tune.config import Settings
from blade_tune.spec.definition import TRIALS, TrialCount

if TYPE_CHECKING:
    from blade_tune.study.workspace import Workspace

UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in UNIT_S))


def read_duration(value: Any) -> Any:
    """Seconds: a number as it is, and "90s", "30m", "8h", "1h30m", "2d"."""
    if not isinstance(value, str):
        return value
    match = DURATION.fullmatch(value.strip())
    if match and match[0]:
        return sum(float(count) * UNIT_S[unit] for unit, count in match.groupdict("0").items())
    try:
        return float(value)
    except ValueError:
        raise ValueError("must be a duration such as 90s, 30m, 8h or 1h30m, or a number of seconds") from None


def read_gpus(value: Any) -> Any:
    """A number or a list in the form of the flag; "none" unsets what another place says."""
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return None if value in (None, "none") else str(value)


def read_per_gpu(value: Any) -> Any:
    """A count, be it text, or "auto"."""
    if value is None or value == "auto":
        return value
    text = str(value)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("must be a whole number from 1 on, or auto")
    return int(text)


def folder(path: Path) -> Path:
    """A path that is no file; a file's ~ is the home folder, as a flag's is by the shell."""
    path = Path(os.path.expanduser(path))
    if path.is_file():
        raise ValueError("must be a folder, not a file")
    return path


AtLeastOne = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, BeforeValidator(read_duration), Field(gt=0, allow_inf_nan=False)]
Folder = Annotated[Path, AfterValidator(folder)]


class RunSettings(Settings):
    """Every setting of a run, declared once: flags, files and the environment have these names and laws.

    `precedence.resolve` builds it from all of them, and checks that a lost worker is not declared too early.
    """

    trials: TrialCount | None = Field(None, description=f"{TRIALS}, not more; default: the study file's")
    workers: AtLeastOne | None = Field(None, description="trials at a time; default: one a GPU, without a GPU one")
    device: str = Field("auto", description="where to train: auto, cpu, cuda or cuda:N")
    gpus: Annotated[str | None, BeforeValidator(read_gpus)] = Field(
        None, description="which GPUs: all, none, numbers (0,1), or GPU- and MIG- ids; default: all"
    )
    per_gpu: Annotated[int | Literal["auto"] | None, BeforeValidator(read_per_gpu)] = Field(
        None, description="workers on each GPU, or auto: as many as a probe finds useful; default: one"
    )
    keep: AtLeastOne = Field(5, description="best trials that keep their weights")
    max_consecutive_failures: AtLeastOne = Field(5, description="end when so many trials in a row fail (exit code 5)")
    time: Seconds | None = Field(None, description="end after so long (90s, 30m, 8h); what runs is queued")
    gpu_hours: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="end when the study has cost so many GPU hours in all"
    )
    trial_time: Seconds | None = Field(None, description="end a trial that runs for longer (90s, 30m, 8h)")
    heartbeat_s: Seconds = Field(30, description="a worker says that it is alive every so many seconds")
    grace_s: Seconds = Field(120, description="a worker that is silent for so many seconds is lost")
    storage: str | None = Field(
        None,
        description="database of studies, sqlite:///FILE or postgresql://USER@HOST/NAME; default: RESULTS/studies.db",
    )
    results: Folder = Field(Path("results"), description="folder of everything that runs write")
    data: Folder | None = Field(None, description="folder of the data's files; a stored study remembers it")

    @property
    def workspace(self) -> "Workspace":
        """Where its studies are stored and their files are.

        Raises:
            ConfigError: the storage is no URL of a database that studies can be in.
        """
        from blade_tune.study.workspace import Workspace  # a database's libraries, which help texts do without

        return Workspace.at(self.storage, self.results)

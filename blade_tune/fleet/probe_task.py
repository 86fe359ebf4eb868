"""What a probe and its processes send each other: the task, and the measurements of a round."""

from pathlib import Path
from typing import Any

from blade_tune.config import Settings
from blade_tune.parameter import Value


class ProbeTask(Settings):
    """The task of all processes of a probe, sent to them as JSON."""

    name: str  # of the study
    definition: dict[str, Any]  # of the study, in the form of its file
    values: dict[str, Value]  # the configuration to train
    data: Path | None  # folder of the study's data
    results: Path
    device: str
    round_s: float  # seconds of training per round


class Answer(Settings):
    """One process's measurements of a round; without figures, the message that the process is ready."""

    steps_per_s: float = 0.0
    # Bytes that this process takes, of the machine's memory and, on a GPU, of the GPU's.
    needs: tuple[int, ...] = ()
    free: tuple[int, ...] = ()  # bytes of each memory that are free

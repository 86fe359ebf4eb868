"""Assignment of workers to devices: which GPU each worker trains on, its share of it, and its number of CPU threads.

The GPUs are those that the machine has, as far as CUDA_VISIBLE_DEVICES (which a scheduler may set) and the run's
settings leave them. A worker sees only the GPU of its placement, through its own CUDA_VISIBLE_DEVICES.
"""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    import torch

# Device files of the drivers of NVIDIA, of AMD and of Windows' Linux
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
# Microseconds of processor time, and of the period that they are for
QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Placement:
    """The device, or part of a device, that one worker trains on."""

    device: Literal["cpu", "cuda"]
    visible: str  # the worker's CUDA_VISIBLE_DEVICES; empty on the CPU
    share: float  # part of the device, in (0, 1]; below 1 other workers train on it too
    threads: int  # CPU threads


def num_gpus() -> int:
    """Return the number of GPUs that torch can use.

    Torch is imported, which takes seconds, only on a machine with the device file of a driver.
    """
    if not any(path.exists() for path in DRIVERS):
        return 0
    import torch

    return torch.cuda.device_count()


def num_threads() -> int:
    """Return how many CPU threads there are to share: OMP_NUM_THREADS, or the cores that this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = psutil.cpu_count(logical=False)  # two threads of one core share its arithmetic
    return min(number for number in (allowed, cores, _quota()) if number)


def _quota() -> int | None:
    """Return the limit of a container on processors, rounded up; None where there is none."""
    try:
        limit, period = QUOTA.read_text().split()
        return math.ceil(int(limit) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return None


@dataclass(frozen=True)
class Machine:
    """The GPUs and CPU threads that this process may use."""

    gpus: tuple[str, ...]  # numbers or ids, in the form of CUDA_VISIBLE_DEVICES
    threads: int

    @classmethod
    def here(cls) -> "Machine":
        """Return what this machine has, without initializing a GPU.

        GPUs are named as in CUDA_VISIBLE_DEVICES where that is set, else numbered from 0.
        """
        count = num_gpus()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            names = [str(number) for number in range(count)]
        else:
            names = [name.strip() for name in visible.split(",")]
        return cls(tuple(names[:count]), num_threads())


def assign(settings: RunSettings, machine: Machine | None = None) -> list[Placement]:
    """Return a placement for each worker, with GPUs taken in turn and CPU threads divided equally.

    The number of workers is `settings.workers` if given, else `per_gpu` on each GPU (one by default), else one for each
    core of the CPU. Fewer workers than GPUs take the first GPUs. A worker on the CPU has one thread unless
    `settings.threads` says otherwise, however many workers there are, so that values do not depend on their number.

    Args:
        settings: the run's settings.
        machine: what there is to assign; None for this machine.

    Returns:
        One placement per worker. If `per_gpu` is auto: one per device, the whole of it, which `probe.fill` divides.

    Raises:
        ConfigError: a GPU does not exist or is named twice, or the numbers of workers and GPUs contradict each other.
    """
    machine = machine or Machine.here()
    gpus = _gpus(settings, machine.gpus)
    if settings.per_gpu == "auto" and settings.workers:
        raise ConfigError(
            f"--per-gpu auto finds out how many workers there are; leave out --workers {settings.workers}."
        )
    # Where the probe finds out how many workers there are, each device is one placement for now.
    per_gpu = None if settings.per_gpu == "auto" else settings.per_gpu
    most = len(gpus) * (per_gpu or 1)
    if gpus or settings.per_gpu == "auto":
        workers = settings.workers or max(1, most)
    else:
        workers = settings.workers or max(1, machine.threads // (settings.threads or 1))
    if gpus and per_gpu and workers > most:
        raise ConfigError(
            f"--workers must be at most {most}, --per-gpu {per_gpu} on {len(gpus)} GPUs, got {workers}."
        )
    if settings.gpus and workers < len(gpus):
        raise ConfigError(
            f"--workers must be at least {len(gpus)}, one for each of --gpus, got {workers}."
        )
    if not gpus:
        # The probe divides all threads, see `settled`.
        threads = machine.threads if settings.per_gpu == "auto" else settings.threads or 1
        return [Placement("cpu", "", 1 / workers, threads)] * workers
    threads = settings.threads or max(1, machine.threads // workers)
    turns = [gpus[worker % len(gpus)] for worker in range(workers)]
    return [Placement("cuda", gpu, 1 / turns.count(gpu), threads) for gpu in turns]


def shared(placements: list[Placement], workers: int) -> list[Placement]:
    """Return placements for `workers` workers on each device, which they divide equally.

    Those of the first workers of all devices come first, then those of the second ones, and so on. Each has at least
    one CPU thread.

    Args:
        placements: one per device.
        workers: number of workers on each.
    """
    parts = []
    for placement in placements:
        share = placement.share / workers
        threads = max(1, placement.threads // workers)
        parts.append(replace(placement, share=share, threads=threads))
    return parts * workers


def settled(placements: list[Placement], settings: RunSettings) -> list[Placement]:
    """Return placements after a probe, which divided all threads, with as many threads as `assign` gives a worker."""
    changed = []
    for placement in placements:
        threads = 1 if placement.device == "cpu" else placement.threads
        changed.append(replace(placement, threads=settings.threads or threads))
    return changed


def at_most(placements: list[Placement], workers: int) -> list[Placement]:
    """Return the first placements on a CPU, which they divide equally, so that no more workers start than have work."""
    if placements[0].device != "cpu" or len(placements) <= workers:
        return placements
    share = sum(placement.share for placement in placements) / workers
    return [replace(placement, share=share) for placement in placements[:workers]]


def _gpus(settings: RunSettings, here: tuple[str, ...]) -> tuple[str, ...]:
    """Return the GPUs to use, in the form of CUDA_VISIBLE_DEVICES; empty for the CPU."""
    # Whether --device and --gpus are valid, and fit each other
    kind, colon, number = settings.device.partition(":")
    is_numbered_gpu = kind == "cuda" and number.isdecimal()
    if kind not in ("auto", "cpu", "cuda") or (colon and not is_numbered_gpu):
        raise ConfigError(f"--device must be auto, cpu, cuda or cuda:N, got {settings.device!r}.")
    if settings.gpus and (number or kind == "cpu"):
        raise ConfigError(
            f"--device {settings.device} and --gpus {settings.gpus} contradict each other; say --device auto, "
            "or --gpus none."
        )
    # Whether there are any
    asked = settings.gpus or number or "all"
    needs_no_gpu = kind == "auto" and not settings.gpus
    if kind == "cpu" or (needs_no_gpu and not here):
        return ()
    if not here:
        raise ConfigError(
            f"--device {settings.device}, --gpus {asked}: there is no GPU here, or torch cannot use it."
        )
    # Which of them
    if asked == "all":
        return here
    entries = asked.split(",")
    chosen = tuple(_visible(entry.strip(), here) for entry in entries)
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"--gpus must name each GPU once, got {asked}.")
    return chosen


def _visible(entry: str, here: tuple[str, ...]) -> str:
    """Return the CUDA_VISIBLE_DEVICES entry of a GPU given by its number among `here`, or by a GPU- or MIG- id."""
    if entry.startswith(("GPU-", "MIG-")):
        return entry
    if not entry.isdecimal() or int(entry) >= len(here):
        raise ConfigError(
            f"GPUs are called 0 to {len(here) - 1} here, or by their GPU- and MIG- ids, got {entry!r}."
        )
    return here[int(entry)]


def usable_device(name: str) -> "torch.device":
    """Return a device by its name, after trying to use it.

    Raises:
        ConfigError: this machine has no such device.
    """
    import torch

    from blade_tune.training.device_data import resolve_device

    try:
        device = resolve_device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        # torch raises these for a device that it does not know or have.
        raise ConfigError(
            f"--device must be auto, cpu, or a GPU of this machine, got {name!r}: {error}"
        ) from None
    return device

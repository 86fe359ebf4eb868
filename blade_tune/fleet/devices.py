"""Which worker trains where: GPUs as a scheduler, a user or the machine gives them, shares of them, CPU threads."""

import os
from dataclasses import dataclass, replace
from typing import Literal

from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings


@dataclass(frozen=True)
class Place:
    """Where one worker trains."""

    device: Literal["cpu", "cuda"]
    visible: str  # its CUDA_VISIBLE_DEVICES
    share: float  # of the device; below 1 there are other workers on it
    threads: int


@dataclass(frozen=True)
class Machine:
    """What this process may use of the machine."""

    gpus: tuple[str, ...]  # as CUDA_VISIBLE_DEVICES calls them
    threads: int

    @classmethod
    def here(cls) -> "Machine":
        """Looks without touching a GPU: what CUDA_VISIBLE_DEVICES leaves of them, as far as its entries are there."""
        import torch

        from blade_tune.training.threads import AVAILABLE

        count = torch.cuda.device_count()
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = map(str, range(count)) if given is None else map(str.strip, given.split(","))
        return cls(tuple(names)[:count], AVAILABLE)


def assign(settings: RunSettings, machine: Machine | None = None) -> list[Place]:
    """A place for each worker; GPUs in turn, CPU threads in equal parts.

    There are `workers` of them, else `per_gpu` on each GPU, else one. Fewer workers than GPUs take the first ones.
    Where `per_gpu` is auto, each place is a whole device, for `probe.fill` to share.

    Raises:
        ConfigError: a GPU that is not here or is named twice, or numbers that do not go together.
    """
    machine = machine or Machine.here()
    gpus = _gpus(settings, machine.gpus)
    if settings.per_gpu == "auto" and settings.workers:
        raise ConfigError(
            f"--per-gpu auto finds out how many workers there are; leave out --workers {settings.workers}."
        )
    per_gpu = None if settings.per_gpu == "auto" else settings.per_gpu
    workers = settings.workers or max(1, len(gpus) * (per_gpu or 1))
    if gpus and per_gpu and workers > len(gpus) * per_gpu:
        raise ConfigError(
            f"--workers must be at most {len(gpus) * per_gpu}, --per-gpu {per_gpu} on {len(gpus)} GPUs, got {workers}."
        )
    if settings.gpus and workers < len(gpus):
        raise ConfigError(f"--workers must be at least {len(gpus)}, one for each of --gpus, got {workers}.")
    threads = max(1, machine.threads // workers)
    if not gpus:
        return [Place("cpu", "", 1 / workers, threads)] * workers
    turns = [gpus[worker % len(gpus)] for worker in range(workers)]
    return [Place("cuda", gpu, 1 / turns.count(gpu), threads) for gpu in turns]


def shared(places: list[Place], workers: int) -> list[Place]:
    """So many workers in each place, in turn, with equal parts of it; each has a thread."""
    parts = [replace(place, share=place.share / workers, threads=max(1, place.threads // workers)) for place in places]
    return parts * workers


def _gpus(settings: RunSettings, here: tuple[str, ...]) -> tuple[str, ...]:
    """The GPUs to use, as CUDA_VISIBLE_DEVICES calls them."""
    kind, colon, number = settings.device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"--device must be auto, cpu, cuda or cuda:N, got {settings.device!r}.")
    if settings.gpus and (number or kind == "cpu"):
        raise ConfigError(
            f"--device {settings.device} and --gpus {settings.gpus} contradict each other; say --device auto, "
            "or --gpus none."
        )
    asked = settings.gpus or number or "all"
    if kind == "cpu" or (not here and kind == "auto" and not settings.gpus):
        return ()
    if not here:
        raise ConfigError(f"--device {settings.device}, --gpus {asked}: there is no GPU here, or torch cannot use it.")
    if asked == "all":
        return here
    chosen = tuple(_visible(entry.strip(), here) for entry in asked.split(","))
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"--gpus must name each GPU once, got {asked}.")
    return chosen


def _visible(entry: str, here: tuple[str, ...]) -> str:
    """A GPU by its number among those here, or by an id that CUDA knows."""
    if entry.startswith(("GPU-", "MIG-")):
        return entry
    if not entry.isdecimal() or int(entry) >= len(here):
        raise ConfigError(f"GPUs are called 0 to {len(here) - 1} here, or by their GPU- and MIG- ids, got {entry!r}.")
    return here[int(entry)]

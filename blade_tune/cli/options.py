"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from blade_tune.errors import ConfigError

if TYPE_CHECKING:
    import torch

Command = TypeVar("Command", bound=Callable[..., object])

study_option = click.option(
    "--study", "-s", required=True, metavar="NAME|FILE", help="Name of the study, or the path of its file."
)
results_option = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    envvar="BLADE_TUNE_RESULTS",
    help="Folder of everything that runs write. Env: BLADE_TUNE_RESULTS.",
)
storage_option = click.option(
    "--storage",
    metavar="URL",
    envvar="BLADE_TUNE_STORAGE",
    help="Database of studies: any SQLAlchemy URL. Default: RESULTS/studies.db. Env: BLADE_TUNE_STORAGE.",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="BLADE_TUNE_DATA",
    metavar="DIR",
    help="Folder of the data's files; a stored study remembers it. Env: BLADE_TUNE_DATA.",
)
format_option = click.option(
    "--format", "-f", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda or cuda:N."
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress on stderr; warnings and errors remain.")


def reads_study(command: Command) -> Command:
    """The options of a command that prints something about a stored study."""
    for option in (format_option, data_option, results_option, storage_option, study_option):
        command = option(command)
    return command


def usable_device(name: str) -> "torch.device":
    """The device, tried out.

    Raises:
        ConfigError: there is none of this name here.
    """
    import torch

    from blade_tune.training.device_data import resolve_device

    try:
        device = resolve_device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # torch's words for a device that it does not know or have
        raise ConfigError(f"--device must be auto, cpu, or a GPU of this machine, got {name!r}: {error}") from None
    return device

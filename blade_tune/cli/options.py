"""Options that several commands share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    import torch

Command = TypeVar("Command", bound=Callable[..., object])
Callback = Callable[[click.Context, click.Parameter, Any], Any]

study_option = click.option(
    "--study", "-s", required=True, metavar="NAME|FILE", help="Name of the study, or the path of its file."
)


def run_option(name: str, metavar: str, callback: Callback | None = None) -> Callable[[Command], Command]:
    """The flag of a run setting, as it was typed or None: `resolve` puts it beside files and environment."""
    field = RunSettings.model_fields[name]
    description = field.description or ""
    default = "" if field.default is None else f" Default: {field.default}."
    words = f"{description[0].upper()}{description[1:]}.{default}"
    return click.option(f"--{name.replace('_', '-')}", metavar=metavar, callback=callback, help=words)


METAVARS = {
    "data": "DIR",
    "workers": "N",
    "device": "NAME",
    "gpus": "LIST",
    "per_gpu": "K",
    "time": "DURATION",
    "trial_time": "DURATION",
    "gpu_hours": "HOURS",
    "keep": "K",
    "max_consecutive_failures": "N",
    "storage": "URL",
    "results": "DIR",
    "heartbeat_s": "SECONDS",
    "grace_s": "SECONDS",
}
OF_A_SEARCH = ("keep", "gpu_hours")  # runs keep all weights, and their number is their limit


def works_on_study(command: Command) -> Command:
    """The settings of a command that trains: where its workers are, how long they work, and what they leave."""
    for name, metavar in reversed(METAVARS.items()):
        command = run_option(name, metavar)(command)
    return command


def trains_runs(command: Command) -> Command:
    """The same for a command that trains given configurations only."""
    for name, metavar in reversed(METAVARS.items()):
        command = command if name in OF_A_SEARCH else run_option(name, metavar)(command)
    return command


def setting_option(name: str, metavar: str) -> Callable[[Command], Command]:
    """The same for a command that asks for few settings: its value, wherever that is said."""

    def settle(context: click.Context, _: click.Parameter, typed: str | None) -> Any:
        from blade_tune.fleet.precedence import resolve

        return getattr(resolve({name: typed}, context.params.get("study")).settings, name)

    return run_option(name, metavar, settle)


results_option = setting_option("results", "DIR")
storage_option = setting_option("storage", "URL")
data_option = setting_option("data", "DIR")
device_option = setting_option("device", "NAME")
format_option = click.option(
    "--format", "-f", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
seeds_option = click.option(
    "--seeds",
    type=click.IntRange(min=2),
    metavar="N",
    help="Fresh seeds that all configurations share.",
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

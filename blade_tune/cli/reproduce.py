"""Command `blade-tune reproduce`, which trains a trial again and compares it epoch by epoch."""

import click

from blade_tune.cli.groups import InGroups
from blade_tune.cli.options import (
    STORAGE_FLAGS,
    format_option,
    quiet_option,
    run_settings,
    stored_study_option,
    trial_argument,
)
from blade_tune.cli.output import print_facts
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings


@click.command(cls=InGroups)
@trial_argument
@stored_study_option
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0.0),
    default=0.0,
    show_default=True,
    help="Relative difference that counts as none; bits are equal on the same kind of device only.",
)
@run_settings("data", *STORAGE_FLAGS, "device")
@format_option
@quiet_option
def reproduce(
    number: int,
    study: str,
    tolerance: float,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Train a trial again and compare it epoch by epoch.

    Configuration, seed, threads and data are those of the trial, checked by hash. Where a loss or a metric differs, the
    first such epoch is named, with what else is not as it was then, and the exit code is 7. Nothing stored is changed,
    but for damaged weights and ranks of the trial, which are written again where nothing differs.

    \b
    Example:
      blade-tune reproduce 7 --study demo
    """  # noqa: D301
    # Before the imports, so that a misspelled name is said at once.
    stored = settings.workspace.study(study)

    from blade_tune.cli.progress import watch_training
    from blade_tune.selection.reproduce import Past, make_again

    past = Past.of(stored, number)
    with watch_training(quiet, f"trial {number} again") as on_epoch:
        device = usable_device(settings.device)
        again = make_again(past, stored.data(settings.data), device, tolerance, on_epoch)
    print_facts(vars(again), form)

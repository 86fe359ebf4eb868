"""Command `blade-tune auto`, which finds, confirms and exports the best model that can be had in a given time."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from blade_tune.cli.completion import complete_files, complete_models, complete_stored
from blade_tune.cli.data_prepare import log_options
from blade_tune.cli.groups import LOG, STUDIED, InGroups
from blade_tune.cli.options import format_option, quiet_option, run_flags
from blade_tune.cli.output import print_facts, print_words
from blade_tune.cli.preparing import source_option

if TYPE_CHECKING:
    from blade_tune.auto.run import Result

AUTO_FLAGS = ("data", "workers", "threads", "device", "gpus", "per_gpu", "storage", "results")


@click.command(cls=InGroups, own=STUDIED, moved={"time": LOG})
@click.option(
    "--study",
    "-s",
    metavar="NAME|FILE",
    shell_complete=complete_files,
    help="Study file, by name or path, whose data are used.",
)
@source_option(required=False)
@log_options
@click.option(
    "--for",
    "duration",
    required=True,
    metavar="DURATION",
    help="How long all of it may take (90s, 30m, 8h), confirmation and export included.",
)
@click.option(
    "--models",
    metavar="LIST",
    default="all",
    show_default=True,
    shell_complete=complete_models,
    help="Models to search, separated by commas, or all.",
)
@click.option(
    "--warm-start",
    multiple=True,
    metavar="SOURCE[:K]",
    shell_complete=complete_stored,
    help="The best K configurations of another study, or that of a bundle, are tried first by its model.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=3,
    show_default=True,
    help="Fresh seeds of each model that is confirmed.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Models that train in epochs and are confirmed.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the final model. Default: RESULTS/STUDY.auto/bundle.",
)
@run_flags(*AUTO_FLAGS)
@format_option
@quiet_option
def auto(
    study: str | None,
    duration: str,
    models: str,
    warm_start: tuple[str, ...],
    seeds: int,
    top: int,
    out: Path | None,
    form: str,
    quiet: bool,
    **more: Any,
) -> None:
    """Find the best model that can be had in a given time.

    All models and their settings are searched, the cheapest first; who gets more of the time is decided by what each is
    expected to gain a second. The best are trained again on fresh seeds, the simplest that cannot be told from the best
    is chosen, tested once on the sealed rows, and written as a bundle for `recommend`. Each model's search is the study
    STUDY.auto-MODEL; after Ctrl-C the same command goes on, and `export-best` exports from what there is.

    With --source, a log is prepared first as `data prepare event-log` does, whose options on columns are taken.

    \b
    Example:
      blade-tune auto --study demo --for 2m
    """  # noqa: D301
    from blade_tune.auto.family import searchable
    from blade_tune.auto.run import Request, run_auto
    from blade_tune.auto.schedule import Schedule
    from blade_tune.fleet.devices import assign
    from blade_tune.fleet.precedence import resolve
    from blade_tune.selection.runs import RunExecutor
    from blade_tune.spec.catalog import StudySource
    from blade_tune.storage.connect import storage_errors
    from blade_tune.trial.callback import Callback

    schedule = Schedule(_seconds(duration))
    if more["source"]:
        if study:
            raise click.UsageError("--study has its data already: give it or --source.")
        study = _prepared(quiet=quiet)
    elif study is None:
        raise click.UsageError("what data? Give --study, or the log as --source.")
    flags = {name: more[name] for name in AUTO_FLAGS}
    settings = resolve(flags, StudySource.find(study)).settings
    names = [model.strip() for model in models.split(",")]
    if models == "all":
        names = list(searchable())
    asked = Request(study, names, seeds, top, warm_start, out)
    executor = RunExecutor(settings, assign(settings), Callback())

    def tell(line: str) -> None:
        if not quiet:
            click.echo(f"{max(0.0, schedule.left_s) / 60:5.1f} min left  {line}", err=True)

    with storage_errors(settings.workspace.url):
        _show(run_auto(asked, schedule, executor, tell), form)


def _prepared(*, quiet: bool) -> str:
    """Prepare the log that the command was given, with the flags as they were typed; return the name of its study."""
    from blade_tune.cli.data_prepare import event_log
    from blade_tune.data.raw.find import name_of

    context = click.get_current_context()
    known = {option.name for option in event_log.params}
    words = ["--quiet"] if quiet else []
    for option in context.command.params:
        name = option.name or ""
        is_typed = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if not is_typed or name not in known or name in ("out", "form", "quiet"):
            continue
        value = context.params[name]
        if isinstance(option, click.Option) and option.is_flag:
            words.append(option.opts[0])
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [option.opts[0], str(each)]
    with event_log.make_context("event-log", words, parent=context) as preparing:
        event_log.invoke(preparing)
    return context.params["name"] or name_of(context.params["source"])


def _seconds(duration: str) -> float:
    """Return the seconds of a duration as it was typed.

    Raises:
        BadParameter: it is none, or not above 0.
    """
    from blade_tune.fleet.settings import read_duration

    try:
        seconds = float(read_duration(duration))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--for'") from None
    if not 0 < seconds < float("inf"):
        raise click.BadParameter(f"must be above 0, got {duration}", param_hint="'--for'")
    return seconds


def _show(result: "Result", form: str) -> None:
    if form != "table":
        print_facts(result.facts, form)
        return
    print_words(result.words)
    click.echo(f"{result.page}: all of it as a page")
    click.echo(
        f"{result.bundle}: the model; `blade-tune recommend --bundle {result.bundle}` uses it"
    )

"""Command `blade-tune run`, which runs a study until it has its number of scored trials."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import click

from blade_tune.cli.completion import complete_members, complete_model, complete_stored
from blade_tune.cli.groups import STUDIED, InGroups
from blade_tune.cli.options import WORK_FLAGS, quiet_option, run_flags, study_option
from blade_tune.cli.output import print_facts
from blade_tune.fleet.launchers import LAUNCHERS
from blade_tune.spec.recipes import RECIPES, RecipeName
from blade_tune.spec.study_file import PrunerName, SamplerName

if TYPE_CHECKING:
    from blade_tune.fleet.settings import RunSettings
    from blade_tune.spec.catalog import StudySource
    from blade_tune.spec.definition import StudyDefinition
    from blade_tune.study.stored import StoredStudy
    from blade_tune.study.workspace import Workspace


@click.command(cls=InGroups, own=STUDIED, moved={"name": STUDIED})
@study_option
@run_flags("trials")
@click.option(
    "--add", type=click.IntRange(min=1), metavar="K", help="So many scored trials more than before."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Epochs of a trial at most; part of the study's identity.",
)
@click.option(
    "--model",
    shell_complete=complete_model,
    help="Another model than the file's, with its own space; stored as STUDY-MODEL.",
)
@click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    help="How neural models start and are trained, instead of as the file says; stored as STUDY-RECIPE.",
)
@click.option(
    "--name",
    metavar="VARIANT",
    help="Store the study under this name, for a variant of the file: another seed, model, sampler.",
)
@click.option(
    "--members",
    metavar="LIST",
    shell_complete=complete_members,
    help="Of a combination: stored studies, or STUDY:TRIAL, separated by commas.",
)
@click.option(
    "--warm-start",
    "warm_start",
    multiple=True,
    metavar="SOURCE[:K]",
    shell_complete=complete_stored,
    help="Try the best K (default: 3) configurations of another study first. SOURCE is its name, RESULTS_DIR/STUDY, "
    "STORAGE_URL#STUDY, the folder of a bundle, or a .csv that `trials` printed. May be given again.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Study seed; part of the study's identity."
)
@click.option("--sampler", type=click.Choice(get_args(SamplerName)), help="What proposes trials.")
@click.option(
    "--pruner",
    type=click.Choice(get_args(PrunerName)),
    help="What ends or pauses weak trials; default: the study file's, which keeps the better 75%.",
)
@run_flags(*WORK_FLAGS)
@click.option(
    "--launcher", type=click.Choice(list(LAUNCHERS)), help="Have this cluster run WORKERS jobs."
)
@click.option(
    "--launcher-option",
    "launcher_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="One of the cluster's own.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print every value and where it comes from, and start nothing."
)
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="With json the end of the run, or of --dry-run the plan, is printed on stdout as JSON.",
)
@quiet_option
def run(
    study: str,
    add: int | None,
    epochs: int | None,
    model: str | None,
    recipe: RecipeName | None,
    name: str | None,
    members: str | None,
    warm_start: tuple[str, ...],
    seed: int | None,
    sampler: SamplerName | None,
    pruner: PrunerName | None,
    launcher: str | None,
    launcher_options: tuple[str, ...],
    dry_run: bool,
    form: str,
    quiet: bool,
    **flags: Any,
) -> None:
    """Run a study until it has its number of scored trials.

    STUDY is a name in ./studies or in the package, or the path of a study file. Running it again goes on where it
    stopped; a finished study runs nothing. Test rows are never opened.

    \b
    Example:
      blade-tune run --study qk-video --data ~/data/qk-video --trials 200
    """  # noqa: D301
    from blade_tune.cli.progress import watch
    from blade_tune.data.store import prepare
    from blade_tune.doctor.checks import warn_of_size
    from blade_tune.errors import BladeTuneError, ConfigError, InterruptedStudyError
    from blade_tune.fleet.devices import assign
    from blade_tune.fleet.launchers.base import choose
    from blade_tune.fleet.launchers.run import run_jobs
    from blade_tune.fleet.precedence import resolve
    from blade_tune.fleet.run import run_workers
    from blade_tune.fleet.worker_start import warm
    from blade_tune.spec.catalog import StudySource
    from blade_tune.storage.connect import await_database, storage_errors
    from blade_tune.study.create import TrialBudget, open_study
    from blade_tune.study.members import check_members, keep_members
    from blade_tune.study.progress import why_done
    from blade_tune.study.warm_start import WarmSource, WarmStart

    # What is asked for
    source = StudySource.read(study)
    resolved = resolve(flags, source)
    settings = resolved.settings
    workspace = settings.workspace
    if not dry_run:
        await_database(workspace.url)
    by_flag = {
        "name": name,
        "model": model,
        "recipe": recipe,
        "epochs": epochs,
        "seed": seed,
        "sampler": sampler,
        "pruner": pruner,
    }
    trials_flag = settings.trials if flags["trials"] is not None else None
    trials_setting = settings.trials if flags["trials"] is None else None
    definition = _define(source, by_flag, members, trials_setting, workspace)
    total = TrialBudget(trials_flag, add or 0)
    if launcher_options and not launcher:
        raise ConfigError("--launcher-option needs a --launcher.")
    warm_sources: list[WarmSource] = []
    if warm_start:
        from blade_tune.selection.warm_sources import (
            read_sources,
        )  # loads torch, and is seldom needed

        warm_sources = read_sources(warm_start, definition.name, workspace)
    if dry_run:
        from blade_tune.cli.dry_run import Asked, print_plan  # loads pandas

        asked = Asked(total, warm_sources, launcher)
        print_plan(source, definition, resolved, asked, by_flag, form)
        return

    # Who does it: this machine, or a cluster
    folder = settings.results / definition.name / "jobs"
    cluster = choose(launcher, settings, launcher_options, folder) if launcher else None
    places = [] if cluster else assign(settings)

    # The data, and the study in its database, while the workers' modules are imported
    known = workspace.find(definition.name)
    taken_before = len(WarmStart.all_of(known.study)) if known else 0
    if places and not (known and why_done(known)):
        warm(places[0], definition.model)
    directory = known.data_directory(settings.data) if known else settings.data
    data = prepare(definition.data, directory, settings.results)
    check_members(definition, data, workspace)
    stored = open_study(definition, data, workspace, total, directory=directory, warm=warm_sources)
    keep_members(stored)
    warn_of_size(stored)

    try:
        with watch(quiet) as callback:
            for start in WarmStart.all_of(stored.study)[taken_before:]:
                for line in start.lines:
                    callback.noted(line)
            if cluster:
                run_jobs(stored, settings, cluster, callback)
            else:
                run_workers(stored, settings, places, callback)
    except BladeTuneError as error:
        # On a full disk, or without the database, what ended the run says more
        with suppress(Exception):
            _show(stored)
        if add and isinstance(error, InterruptedStudyError):
            raise type(error)(
                "stopped; run the same command without --add to go on from here."
            ) from None
        raise
    with storage_errors(workspace.url):
        _show(stored)
        _say_end(stored, settings, form, quiet=quiet)


def _define(
    source: "StudySource",
    by_flag: Mapping[str, Any],
    members: str | None,
    trials: int | None,
    workspace: "Workspace",
) -> "StudyDefinition":
    """Return the study of a file with the changes that flags ask for.

    Args:
        source: the study's file.
        by_flag: name, model, recipe, epochs, seed, sampler and pruner as typed, or None.
        members: members of a combination as typed, or None.
        trials: scored trials by a setting other than the flag, which only says how far this run goes.
        workspace: where the members are stored.
    """
    from blade_tune.spec.copy_study import variant_name
    from blade_tune.spec.definition import COMBINATION, StudyDefinition
    from blade_tune.study.members import members_of, settle_members

    model, pruner = by_flag["model"], by_flag["pruner"]
    search = {
        "seed": by_flag["seed"],
        "sampler": by_flag["sampler"],
        "pruner": {"kind": pruner} if pruner else None,
        "trials": trials,
    }
    names = [name.strip() for name in members.split(",")] if members else []
    if model == COMBINATION and not names:  # it goes on with those that it has
        names = members_of(by_flag["name"] or f"{source.path.stem}-{model}", workspace)
    definition = StudyDefinition.load(
        source,
        model=model,
        recipe=by_flag["recipe"],
        members=names,
        max_epochs=by_flag["epochs"],
        search={name: value for name, value in search.items() if value is not None},
    )
    if by_flag["name"]:
        definition = replace(definition, name=variant_name(by_flag["name"], source))
    return settle_members(definition, workspace) if definition.members else definition


def _say_end(stored: "StoredStudy", settings: "RunSettings", form: str, *, quiet: bool) -> None:
    """Print what follows the run, and with the form "json" how the study stands."""
    from blade_tune.cli.next_steps import after_run, say_next
    from blade_tune.report.tables import status

    following = after_run(stored)
    say_next(following, settings, quiet=quiet)
    if form == "json":
        print_facts({**status(stored), "next": following or None}, form)


def _show(stored: "StoredStudy") -> None:
    """Write the tables in the study's folder, and update what the dashboard shows of the study."""
    from blade_tune.report.dashboard import publish  # a second and 85 MB, at the end of a run only
    from blade_tune.report.tables import write_tables

    write_tables(stored)
    publish(stored)

"""`blade-tune run`."""

from pathlib import Path

import click

from blade_tune.cli.options import (
    data_option,
    device_option,
    quiet_option,
    results_option,
    storage_option,
    study_option,
    usable_device,
)
from blade_tune.errors import ConfigError


@click.command()
@study_option
@data_option
@click.option("--trials", type=click.IntRange(min=1), help="Scored trials in all, not more; default: the study file's.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of a trial at most; part of the study's identity.")
@click.option("--model", help="Another model than the file's, with its own space; stored as STUDY-MODEL.")
@click.option("--seed", type=click.IntRange(min=0), help="Study seed; part of the study's identity.")
@click.option("--sampler", type=click.Choice(["tpe", "random", "grid", "qmc", "gp"]), help="What proposes trials.")
@click.option(
    "--pruner",
    type=click.Choice(["percentile", "median", "asha", "hyperband", "none"]),
    help="What ends weak trials; default: the study file's, which keeps the better 75%.",
)
@storage_option
@results_option
@device_option
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Trials at a time; more than 1: not yet.")
@click.option("--keep", type=click.IntRange(min=1), default=5, show_default=True, help="Best trials that keep weights.")
@click.option(
    "--max-consecutive-failures",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="End with exit code 5 when so many trials in a row fail.",
)
@quiet_option
def run(
    study: str,
    data: Path | None,
    trials: int | None,
    epochs: int | None,
    model: str | None,
    seed: int | None,
    sampler: str | None,
    pruner: str | None,
    storage: str | None,
    results: Path,
    device: str,
    workers: int,
    keep: int,
    max_consecutive_failures: int,
    quiet: bool,
) -> None:
    """Run a study until it has its number of scored trials.

    STUDY is a name in ./studies or in the package, or the path of a study file. Running it again goes on where it
    stopped; a finished study runs nothing. Test rows are never opened.

    \b
    Example:
      blade-tune run --study qk-video --data ~/data/qk-video --trials 200
    """  # noqa: D301
    if workers > 1:
        raise ConfigError(f"--workers must be 1, got {workers}: several workers are not yet there.")
    import optuna

    from blade_tune.cli.progress import watch
    from blade_tune.data.store import prepare
    from blade_tune.report.tables import write_tables
    from blade_tune.study.definition import StudyDefinition
    from blade_tune.study.run import RunOptions, run_study
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings are tracebacks of trials that failed
    given = {"trials": trials, "seed": seed, "sampler": sampler, "pruner": {"kind": pruner} if pruner else None}
    definition = StudyDefinition.load(
        study, model=model, max_epochs=epochs, search={name: v for name, v in given.items() if v is not None}
    )
    usable_device(device)
    url = resolve_url(storage, results)
    stored = StoredStudy.find(definition.name, url, results)
    data = stored.data_directory(data) if stored else data
    search_data = prepare(definition.data, data, results)
    options = RunOptions(results, url, data, device, keep, max_consecutive_failures)
    try:
        with watch(quiet) as observer:
            run_study(definition, search_data, options, observer)
    finally:
        if stored := StoredStudy.find(definition.name, url, results):
            write_tables(stored)

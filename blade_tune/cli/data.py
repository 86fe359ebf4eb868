"""`blade-tune data`."""

from pathlib import Path

import click

from blade_tune.cli.options import data_option, format_option, results_option, storage_option, study_option
from blade_tune.cli.output import print_facts


@click.group()
def data() -> None:
    """Look at the data of a study.

    Nothing here trains a model.

    \b
    Example:
      blade-tune data stats --study demo
    """  # noqa: D301


@data.command()
@study_option
@data_option
@storage_option
@results_option
@format_option
def stats(study: str, data: Path | None, storage: str | None, results: Path, form: str) -> None:
    """Print what the data of a study holds.

    Users, items, interactions, behaviors, lengths, what was left out. Prepares the data if it never was. Test rows are
    counted, not shown, and no evaluation is written down.

    \b
    Example:
      blade-tune data stats --study qk-video --data ~/data/qk-video -f json
    """  # noqa: D301
    from blade_tune.data.sealed import count_sealed
    from blade_tune.data.statistics import describe
    from blade_tune.data.store import prepare
    from blade_tune.study.definition import StudyDefinition
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    stored = StoredStudy.find(study, resolve_url(storage, results), results)
    settings = stored.definition.data if stored else StudyDefinition.load(study).data
    data = stored.data_directory(data) if stored else data
    search = prepare(settings, data, results)
    print_facts(describe(search, count_sealed(search, data)), form)

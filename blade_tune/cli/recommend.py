"""Command `blade-tune recommend`, which recommends items to users by their histories."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from blade_tune.cli.data_prepare import columns_options, named_columns
from blade_tune.cli.options import quiet_option, run_settings
from blade_tune.cli.steps import watch_steps
from blade_tune.config import parse
from blade_tune.data.raw.settings import LogFormat
from blade_tune.errors import ConfigError
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings
from blade_tune.printable import printable_lines

if TYPE_CHECKING:
    from blade_tune.data.raw.forms import LogPart
    from blade_tune.export.recommender import Recommender


@click.command()
@click.option(
    "--bundle",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What export-best wrote.",
)
@click.option(
    "--users",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Log of the users' histories, or a mapping file of it.",
)
@click.option(
    "--target",
    metavar="LIST",
    help="Behaviors that are hoped for. Default: all target behaviors; under target_set: mode, that set.",
)
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Items a user.",
)
@click.option("--include-seen", is_flag=True, help="Recommend items of a user's history too.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A .csv or .parquet. Default: stdout.",
)
@columns_options
@run_settings("device")
@quiet_option
def recommend(
    bundle: Path,
    users: Path,
    target: str | None,
    k: int,
    include_seen: bool,
    out: Path | None,
    settings: RunSettings,
    quiet: bool,
    **columns: Any,
) -> None:
    """Recommend items to users by their histories.

    The log of histories is read as the one that the model was trained on was; --user and its like name other columns,
    and "" none. Every user of the log is recommended to, or counted in a warning with the reason. Unknown users have
    the mean preference of all others. In CSV, ids that a spreadsheet would run get an apostrophe in front. The bundle
    is checked first, and left alone.

    \b
    Example:
      blade-tune recommend --bundle results/demo/best --users histories.csv --target like,share -k 10
    """  # noqa: D301
    from blade_tune.export.checksums import require_bundle

    require_bundle(bundle)  # before the imports: a wrong folder is said at once

    from blade_tune.export.histories import read_histories
    from blade_tune.export.model_card import warning_of
    from blade_tune.export.output import check_suffix, write_recommendations
    from blade_tune.export.recommender import Recommender

    if out:
        check_suffix(out)
    with watch_steps(quiet) as on_step:
        # The model, and how a log of histories is read
        on_step(f"loading {bundle}", lambda: 0.0)
        recommender = Recommender.load(bundle, usable_device(settings.device))
        warning = warning_of(bundle)
        if warning:
            click.echo(f"WARNING {warning}", err=True)
        parts = _parts(users, recommender, columns)

        # Histories, and what is recommended for them
        on_step(f"reading {users.name}", lambda: 0.0)
        histories = read_histories(parts, recommender.item_numbers)
        on_step(f"ranking for {len(histories.users):,} users", lambda: 0.0)
        wanted = target.split(",") if target else None
        found = recommender.rank(histories, wanted, k, include_seen=include_seen)

        # Notes come before the recommendations, which are printed from a file
        on_step("writing", lambda: 0.0)
        with TemporaryDirectory() as folder:
            path = out or Path(folder) / "found.csv"
            changed = write_recommendations(
                found, histories.users, recommender.items, parts[0].form, path
            )
            notes = [*found.notes, *changed]
            if target and not recommender.model.told_target_set:
                notes.append(
                    "this model does not look at --target: it recommends the same whatever is named there"
                )
            for note in notes:
                click.echo(f"WARNING {note}", err=True)
            if out:
                click.echo(out)
            else:
                _print(path)


def _parts(
    users: Path, recommender: "Recommender", columns: dict[str, Any]
) -> "tuple[LogPart, ...]":
    """Return how a log of histories is read: as the model's own but for the columns that flags or a mapping file name.

    Args:
        users: the log, or a mapping file of it.
        recommender: the model, and how its log was read.
        columns: the options of `columns_options`.

    Raises:
        ConfigError: the columns do not go together, or only a mapping file could name them.
    """
    from blade_tune.data.raw.forms import LogPart
    from blade_tune.data.raw.mapping import MappingFile, is_mapping

    log, named = recommender.log, named_columns(columns)
    if is_mapping(users):
        if named:
            raise ConfigError(
                f"--{min(named).replace('_', '-')} must stand in {users}, which says what the columns mean."
            )
        return MappingFile.read(users).parts(like=log)
    if recommender.formats:
        raise ConfigError(
            f"{users}: must be a mapping file (.yaml), for the files of the model's log have columns of their own; "
            "write one such as the log was prepared with, that has the files of the histories."
        )
    return (LogPart(users, parse(LogFormat, log.model_dump() | named, "options")),)


def _print(path: Path) -> None:
    """Print a file unchanged; on a terminal, with escapes for characters that could steer it."""
    with path.open(encoding="utf-8") as file:
        if not sys.stdout.isatty():
            shutil.copyfileobj(file, sys.stdout)
            return
        for line in file:
            click.echo(printable_lines(line), nl=False)

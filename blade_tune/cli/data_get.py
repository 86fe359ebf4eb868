"""Command `blade-tune data get`, which downloads a data set from its owner."""

import sys
from pathlib import Path
from typing import Any

import click

from blade_tune.cli.options import quiet_option
from blade_tune.cli.steps import watch_download
from blade_tune.config import known_names
from blade_tune.data.raw.datasets import KNOWN_LOGS, Download, KnownLog
from blade_tune.errors import ConfigError, DataError


class LogName(click.Choice[str]):
    """The name of a known log; the error of an unknown one lists similar names first."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the error of an unknown name."""
        return f"{value!r} is no known log. {known_names(str(value), KNOWN_LOGS)}"


@click.command()
@click.argument("name", type=LogName(list(KNOWN_LOGS)), metavar="NAME")
@click.option(
    "--version",
    help="Which of the owner's archives: v2 or small (KuaiSAR; nine days). Default: v2.",
)
@click.option(
    "--accept-license", is_flag=True, help="Accept the owner's license without being asked."
)
@click.option(
    "--from",
    "archive",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the archive from here instead of the owner's server; it is checked too.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/archives"),
    metavar="DIR",
    help="Folder to put it in. Default: data/archives.",
)
@quiet_option
def get(
    name: str,
    version: str | None,
    accept_license: bool,
    archive: Path | None,
    out: Path,
    quiet: bool,
) -> None:
    """Download a data set from its owner.

    An archive is checked by its md5; one that is there already is not downloaded again, and a download that stopped
    goes on from where it was. Only KuaiSAR is downloaded; of any other log that `data prepare` knows this says where
    and how to get it. Nothing is unpacked.

    \b
    Example:
      blade-tune data get kuaisar --accept-license
    """  # noqa: D301
    from blade_tune.data.raw.download import get, take

    # What would be downloaded, and under which license
    known = KNOWN_LOGS[name]
    download = _version(name, known, version)
    click.echo(f"{download.file_name} has {download.megabytes:,.0f} MB.", err=True)
    _accept(name, known, accept_license)

    # The archive, from the user or from its owner
    if archive:
        path = take(download, archive, out)
    else:
        with watch_download(quiet, download.file_name) as on_bytes:
            path = get(download, out, on_bytes)
    click.echo(path)
    if not quiet:
        click.echo(f"next: blade-tune data prepare {name} --source {path}", err=True)


def _version(name: str, known: KnownLog, version: str | None) -> Download:
    if not known.downloads:
        raise DataError(
            f"{name}: is not downloaded from here; its owner gives it to those who accept its license "
            f"({known.license}) at {known.page}. Then: blade-tune data prepare {name} --source {known.example}"
        )
    version = version or next(iter(known.downloads))
    if version not in known.downloads:
        raise ConfigError(f"--version must be one of {', '.join(known.downloads)}, got {version}.")
    return known.downloads[version]


def _accept(name: str, known: KnownLog, is_accepted: bool) -> None:
    click.echo(f"{name} is under {known.license}, see {known.page}.", err=True)
    if is_accepted:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"the license of {name} must be accepted: add --accept-license.")
    if not click.confirm("Do you accept it?", err=True):
        raise ConfigError(f"the license of {name} was not accepted; nothing was downloaded.")

"""Replacement of prepared data by other data, which breaks the studies that were run on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from blade_tune.config import read_yaml, write_yaml
from blade_tune.data.auxiliary import Auxiliary, as_written, auxiliaries
from blade_tune.data.sources.split_files import read_preparation
from blade_tune.errors import ConfigError, DataError
from blade_tune.fleet.settings import RunSettings


@dataclass
class Replacement:
    """Decision on whether a folder of prepared data may be replaced, with the warnings that this needs."""

    out: Path  # folder of the prepared data
    force: bool  # whether to replace data even if studies break
    settings: RunSettings  # where studies are stored
    # Study files that are written again for the new data
    rewritten: list[Path] = field(default_factory=list)

    def allow(self, changes: list[str]) -> None:
        """Print a warning that names the studies which other data in this folder breaks, if there are any.

        Args:
            changes: what differs from the older preparation.

        Raises:
            ConfigError: studies would break, and --force was not given.
        """
        from blade_tune.study.dependents import files_on, stored_on

        broken = stored_on(self.out, self.settings.workspace.url, self.settings.results)
        # Study files depend on the meaning of columns, not on rows
        if changes != ["rows"]:
            broken += map(str, files_on(self.out))
        if not broken:
            return
        fact = f"{self.out}: other data is prepared there already ({'; '.join(changes)})"
        names = ", ".join(broken)
        if not self.force:
            raise ConfigError(
                f"{fact}, and would break {names}; give newer rows with --append, another --name or --out, "
                "or --force."
            )
        if self.rewritten:
            names += f" (written anew: {', '.join(map(str, self.rewritten))})"
        click.echo(f"WARNING {fact} and is replaced; this breaks {names}", err=True)

    def wrote(self, study: Path) -> bool:
        """Return whether --force may overwrite a study file: it is unchanged since the older preparation wrote it."""
        from blade_tune.spec.template import study_text

        if not self.force or not study.is_file():
            return False
        try:
            older = read_preparation(self.out)
            section = data_section(older["name"], older["log"]["behaviors"], older["auxiliary"])
            text = study_text(section, self.out, may_repeat=older["log"].get("keep_repeats", False))
            return study.read_bytes() == text.encode()
        except (DataError, KeyError):  # the older preparation cannot be read
            return False


def data_section(name: str, behaviors: list[str], auxiliary: Auxiliary) -> dict[str, Any]:
    """Return the `data` section of a study on prepared data."""
    return {
        "source": "split_files",
        "name": name,
        "behaviors": behaviors,
        "auxiliary": as_written(auxiliaries(auxiliary)),
    }


def check_fits(study: Path, section: Mapping[str, Any], out: Path) -> None:
    """Print that an existing study file was left alone, with what it lacks to fit the data if it does not.

    Args:
        study: the study file.
        section: the `data` section that fits the data.
        out: folder of the data.
    """
    try:
        content = read_yaml(study)
    except ConfigError as error:
        click.echo(f"WARNING {error}", err=True)
        content = {}

    # The sections that differ from those of this data
    data, run = content.get("data"), content.get("run")
    data = data if isinstance(data, dict) else {}
    run = run if isinstance(run, dict) else {}
    needed: dict[str, Any] = {}
    if {name: data.get(name) for name in section} != section:
        needed["data"] = dict(section)
    if run.get("data") != str(out):
        needed["run"] = {"data": str(out)}

    words = f"{study}: is there already and left alone"
    if needed:
        click.echo(
            f"WARNING {words}; to go with this data it must have\n{write_yaml(needed)}",
            err=True,
            nl=False,
        )
    else:
        click.echo(f"{words}; it goes with this data.", err=True)

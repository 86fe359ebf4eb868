"""Resolution of run settings from all their sources: built-in < user file < project file < environment < study < flags.

Each setting has the value of the last source in this order that names it. The source is kept with the value, so that an
error message can name the file, variable or flag to correct.
"""

import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from blade_tune.config import parse, read_yaml
from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.study_file import SearchConfig, StudyFile
from blade_tune.training.config import EvaluationConfig, TrainConfig

log = logging.getLogger(__name__)

BUILT_IN = "built-in"
PROJECT_FILE = Path("blade-tune.yaml")
PREFIX = "BLADE_TUNE_"
# Variables that Kubernetes sets in every pod for a Service called blade-tune, or whose name begins so. No setting has
# such a name.
OF_A_SERVICE = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

Setting = tuple[str, str, Any]  # origin, name, value

# Names that are part of a study's definition and no run settings -> their place in a study file, for error messages.
DEFINITION = {
    **{section: section for section in StudyFile.model_fields if section != "run"},
    **{field: f"objective.{field}" for field in EvaluationConfig.model_fields},
    **{field: f"train.{field}" for field in TrainConfig.model_fields},
    **{field: f"search.{field}" for field in SearchConfig.model_fields},
    "epochs": "train.max_epochs",
}


@dataclass(frozen=True)
class Resolved:
    """The settings of a run, and where each of them was set."""

    settings: RunSettings
    # Setting -> "built-in", the path of a file, the name of a variable, or a flag.
    origins: Mapping[str, str]


def resolve(
    flags: Mapping[str, Any],
    source: StudySource | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Resolved:
    """Resolve every run setting; of several sources that name a setting, the last one wins.

    Args:
        flags: name of a setting -> the value typed for its flag; None where the flag was not given.
        source: the study file, which may set `search.trials` and has an optional section `run`; None for a study that
            exists in the database only.
        environ: the environment variables.

    Raises:
        ConfigError: a source has an unknown or invalid setting, even one that a later source overrides; the message
            names the source.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(RunSettings.model_fields, BUILT_IN)
    # From the weakest source to the strongest
    sources = itertools.chain(
        _file(user_file(environ)),
        _file(PROJECT_FILE),
        _environment(environ),
        _study(source),
        _flags(flags),
    )
    for origin, name, value in sources:
        if name in DEFINITION and name not in RunSettings.model_fields:
            raise ConfigError(
                f"{origin}: {name} says what a study is, not how it is run; it belongs into the study file as "
                f"{DEFINITION[name]}."
            )
        parse(RunSettings, {name: value}, origin)  # alone, so that an error names this origin
        values[name] = value
        origins[name] = origin
    settings = parse(RunSettings, values, "settings")
    # A worker whose one heartbeat came late must not be declared lost.
    if settings.grace_s < 2 * settings.heartbeat_s:
        raise ConfigError(
            f"grace_s must be at least twice heartbeat_s, got {settings.grace_s:g} ({origins['grace_s']}) "
            f"and {settings.heartbeat_s:g} ({origins['heartbeat_s']})."
        )
    return Resolved(settings, origins)


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's own settings file, which need not exist."""
    folder = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(folder) / "blade-tune" / "config.yaml"


def _file(path: Path) -> Iterator[Setting]:
    """Yield the settings of a YAML file; none if it does not exist."""
    if path.is_file():
        for name, value in read_yaml(path, may_be_empty=True).items():
            yield str(path), name, value


def _environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    """Yield the settings of the environment; variables that are empty or made by Kubernetes count as not set."""
    ours = [name for name in sorted(environ) if name.startswith(PREFIX) and environ[name]]
    links = tuple(name for name in ours if OF_A_SERVICE.fullmatch(name))
    if links:
        _warn_of_links(links)
    for variable in ours:
        if variable not in links:
            yield variable, variable.removeprefix(PREFIX).lower(), environ[variable]


@cache  # so that a process logs the warning once
def _warn_of_links(links: tuple[str, ...]) -> None:
    """Warn of variables that Kubernetes made and that look like settings."""
    log.warning(
        "%s: ignored, as a variable that Kubernetes makes for a Service called blade-tune; `enableServiceLinks: false` "
        "in the pod leaves it out, another name of the Service does too",
        ", ".join(links),
    )


def _study(source: StudySource | None) -> Iterator[Setting]:
    """Yield the settings of a study file: its number of trials and its section `run`."""
    if source is None:
        return
    origin = str(source.path)
    search = source.section("search")
    run = source.section("run")
    if "trials" in run:
        raise ConfigError(f"{origin}: run.trials belongs into search.trials.")
    if "trials" in search:
        yield origin, "trials", search["trials"]
    for name, value in run.items():
        yield origin, name, value


def _flags(flags: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield the settings whose flags were given."""
    for name, value in flags.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            yield flag, name, value

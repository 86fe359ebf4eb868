"""Where run settings come from: built-in < user file < project file < environment < study file < flags."""

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
from blade_tune.spec.definition import SearchConfig, StudyFile
from blade_tune.training.config import EvaluationConfig, TrainConfig

log = logging.getLogger(__name__)

BUILT_IN = "built-in"
PROJECT_FILE = Path("blade-tune.yaml")
PREFIX = "BLADE_TUNE_"
OF_A_SERVICE = re.compile(  # whose name is blade-tune, or begins with it; no setting is called so
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

Setting = tuple[str, str, Any]  # origin, name, value

DEFINITION = {  # what only a study file may say -> where it says it
    **{section: section for section in StudyFile.model_fields if section != "run"},
    **{
        field: f"{section}.{field}"
        for section, config in (("objective", EvaluationConfig), ("train", TrainConfig), ("search", SearchConfig))
        for field in config.model_fields
    },
    "epochs": "train.max_epochs",
}


@dataclass(frozen=True)
class Resolved:
    """The settings of a run, and what each of them was said by: "built-in", a file, a variable or a flag."""

    settings: RunSettings
    origins: Mapping[str, str]


def resolve(
    flags: Mapping[str, Any], source: StudySource | None = None, environ: Mapping[str, str] = os.environ
) -> Resolved:
    """Settle every run setting; the last place that says something wins.

    Args:
        flags: name -> what was typed; None where nothing was.
        source: the file of a study, with `search.trials` and a section `run`; None where there is none, for a study
            that is only stored.
        environ: the environment.

    Raises:
        ConfigError: with the file, variable or flag that breaks a law, whether or not another one wins over it.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(RunSettings.model_fields, BUILT_IN)
    layers = (_file(user_file(environ)), _file(PROJECT_FILE), _environment(environ), _study(source), _flags(flags))
    for origin, name, value in (setting for layer in layers for setting in layer):
        if name in DEFINITION and name not in RunSettings.model_fields:
            raise ConfigError(
                f"{origin}: {name} says what a study is, not how it is run; it belongs into the study file as "
                f"{DEFINITION[name]}."
            )
        parse(RunSettings, {name: value}, origin)
        values[name], origins[name] = value, origin
    settings = parse(RunSettings, values, "settings")
    if settings.grace_s < 2 * settings.heartbeat_s:
        raise ConfigError(
            f"grace_s must be at least twice heartbeat_s, got {settings.grace_s:g} ({origins['grace_s']}) "
            f"and {settings.heartbeat_s:g} ({origins['heartbeat_s']})."
        )
    return Resolved(settings, origins)


def user_file(environ: Mapping[str, str]) -> Path:
    """Where a user's own settings stand."""
    folder = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(folder) / "blade-tune" / "config.yaml"


def _file(path: Path) -> Iterator[Setting]:
    if path.is_file():
        yield from ((str(path), name, value) for name, value in read_yaml(path, may_be_empty=True).items())


def _environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    """An empty variable is as one that is not set, and so is one that is not the user's."""
    ours = {variable: value for variable, value in sorted(environ.items()) if variable.startswith(PREFIX) and value}
    links = tuple(variable for variable in ours if OF_A_SERVICE.fullmatch(variable))
    if links:
        _tell_of_links(links)
    for variable in [name for name in ours if name not in links]:
        yield variable, variable.removeprefix(PREFIX).lower(), ours[variable]


@cache
def _tell_of_links(links: tuple[str, ...]) -> None:
    log.warning(
        "%s: ignored, as a variable that Kubernetes makes for a Service called blade-tune; `enableServiceLinks: false` "
        "in the pod leaves it out, another name of the Service does too",
        ", ".join(links),
    )


def _study(source: StudySource | None) -> Iterator[Setting]:
    if source is None:
        return
    search, run, origin = source.section("search"), source.section("run"), str(source.path)
    if "trials" in run:
        raise ConfigError(f"{origin}: run.trials belongs into search.trials.")
    if "trials" in search:
        yield origin, "trials", search["trials"]
    yield from ((origin, name, value) for name, value in run.items())


def _flags(flags: Mapping[str, Any]) -> Iterator[Setting]:
    yield from ((f"--{name.replace('_', '-')}", name, value) for name, value in flags.items() if value is not None)

"""Reading of what users name as sources of warm starts: other studies, bundles, and printed tables of trials."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from blade_tune.config import flatten, read_yaml
from blade_tune.data.cells import text_of
from blade_tune.errors import (
    BladeTuneError,
    ConfigError,
    NothingStoredError,
    StorageError,
)
from blade_tune.files import sha256
from blade_tune.parameter import Value
from blade_tune.redact import redacted_value
from blade_tune.selection.confirm import MADE, leaders, load_confirmation
from blade_tune.space import GROUPS
from blade_tune.storage.connect import masked, storage_errors
from blade_tune.study.ownership import Identity
from blade_tune.study.stored import StoredStudy
from blade_tune.study.warm_start import COUNT, KnownConfiguration, WarmSource, is_taken
from blade_tune.study.workspace import Workspace

FORMS = "STUDY, RESULTS_DIR/STUDY, STORAGE_URL#STUDY, a bundle's folder, or a file.csv of trials"
BUNDLE = ("best.yaml", "catalog.json", "metrics.json", "provenance.json")  # what is read of one
MALFORMED = (OSError, ValueError, LookupError, TypeError, AttributeError)


def read_sources(texts: Sequence[str], study: str, workspace: Workspace) -> list[WarmSource]:
    """Read the sources of a study's warm start, but for those of which it has taken as many before.

    Args:
        texts: the sources as a user named them.
        study: the name of the study that is to try them, which may be stored already.
        workspace: the database and the results folder of that study.

    Raises:
        ConfigError: a source is the study itself, or one of the errors of `read_source`.
        StorageError: a database cannot be reached.
    """
    known = workspace.find(study) if texts else None
    sources = []
    for text in texts:
        place, count = _parsed(text)
        if known and is_taken(known.study, _name(place), count):
            continue
        sources.append(read_source(text, workspace, known))
    return sources


def read_source(text: str, workspace: Workspace, target: StoredStudy | None = None) -> WarmSource:
    """Read the best configurations of a source.

    Args:
        text: the source as a user named it, with the number of configurations after a last colon.
        workspace: the database that has the studies which are named without a place.
        target: the study that is to try them, if it is stored, which is no source for itself.

    Raises:
        ConfigError: there is no such source, or it has no configuration; the message is one line.
        StorageError: its database cannot be reached.
    """
    place, count = _parsed(text)
    name = _name(place)
    with _errors_of(name):
        if "://" not in place:
            path = Path(place).expanduser()
            if path.suffix == ".csv":
                return WarmSource(name, count, _of_table(path, count), None)
            if (path / BUNDLE[0]).is_file():
                return _of_bundle(path, name, count)
        return _of_study(place, name, count, workspace, target)


def _parsed(text: str) -> tuple[str, int]:
    """Return the place of a source, and how many of its configurations are asked for."""
    place, colon, number = text.rpartition(":")
    if not colon or not re.fullmatch(r"-?\d+", number):
        return text, COUNT
    if int(number) < 1:
        raise ConfigError(
            f"--warm-start {redacted_value(text)}: the number of configurations must be at least 1, got {number}."
        )
    return place, int(number)


def _name(place: str) -> str:
    """Return the name of a source: no secrets, and paths as they are from any folder."""
    if "://" in place:
        return str(redacted_value(place))
    path = Path(place).expanduser()
    is_path = "/" in place or path.suffix == ".csv" or (path / BUNDLE[0]).is_file()
    return str(path.resolve()) if is_path else place


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Have errors in the block name the source, in one line."""
    try:
        yield
    except BladeTuneError as error:
        kind = StorageError if isinstance(error, StorageError) else ConfigError
        fact = str(error).partition("\n")[0]
        raise kind(f"--warm-start {name}: {fact}") from None
    except MALFORMED as error:
        fact = str(redacted_value(f"{type(error).__name__}: {error}")).partition("\n")[0]
        raise ConfigError(f"--warm-start {name}: cannot be read ({fact}).") from None


def _of_study(
    place: str, name: str, count: int, workspace: Workspace, target: StoredStudy | None
) -> WarmSource:
    """Read the best configurations of a stored study, those of its confirmation first."""
    elsewhere, study = _located(place, workspace)
    with storage_errors(elsewhere.url):
        try:
            stored = elsewhere.study(study)
        except NothingStoredError:
            where = masked(elsewhere.url)
            raise StorageError(f"{where} has no studies; a source is {FORMS}.") from None
        identity = Identity.of(stored.study)
        if target and identity and identity == Identity.of(target.study):
            raise ConfigError("is the study itself; name another one.")
        if stored.definition.is_given:
            raise ConfigError("has the runs of a study; name the study itself.")
        best = [_known(stored, trial, runs) for trial, runs in _best(stored, count)]
    definition = stored.definition
    members = tuple(model for model, _ in definition.member_models)
    return WarmSource(name, count, best, definition.model, members)


def _located(place: str, workspace: Workspace) -> tuple[Workspace, str]:
    """Return where a study is stored, and its name there."""
    if "://" in place:
        url, hash_sign, study = place.rpartition("#")
        if not hash_sign:
            raise ConfigError("the URL of a database must end with #STUDY.")
        return Workspace.at(url, workspace.results), study
    path = Path(place).expanduser()
    if "/" in place and path.suffix not in (".yaml", ".yml"):
        return Workspace.at(None, path.parent), path.name
    return workspace, place


# A trial of a search with the runs that confirmed it, of which there may be none
_Confirmed = tuple[FrozenTrial, Sequence[float]]


def _best(stored: StoredStudy, count: int) -> list[_Confirmed]:
    """Return the best trials of a study, those that were confirmed in their confirmed order, then the others."""
    searched = leaders(stored)
    order: dict[int, Sequence[float]] = {}  # number of a trial -> values of its runs
    # The files of ranks, which models need that no seed changes, may be on another machine.
    with suppress(BladeTuneError):
        if confirmation := load_confirmation(stored):
            order = {each.trial: each.scores for each in confirmation.candidates}
    if not order:
        for made in reversed(stored.study.user_attrs.get(MADE, [])):
            order.setdefault(made["winner"], [made["mean"]] * made["seeds"])
    trials = stored.trials
    confirmed = [(trials[number], runs) for number, runs in order.items()]
    rest = [(trial, ()) for trial in searched if trial.number not in order]
    return [*confirmed, *rest][:count]


def _known(stored: StoredStudy, trial: FrozenTrial, runs: Sequence[float]) -> KnownConfiguration:
    """Return the whole configuration of a trial, and where it comes from."""
    definition = stored.definition
    value = sum(runs) / len(runs) if runs else trial.value
    ended = trial.datetime_complete
    origin = {
        "source": f"trial {trial.number} of study {definition.name}",
        "study": definition.name,
        "trial": trial.number,
        "value": value,
        "runs": len(runs) or None,
        "metric": definition.objective.metric,
        "data": definition.data.name,
        "data_hash": stored.study.user_attrs["fingerprint"]["data"],
        "ended": ended.astimezone(UTC).isoformat(timespec="seconds") if ended else None,
        "stored": masked(stored.storage.engine.url),
    }
    values = definition.complete(stored.values(trial), definition.name)
    return KnownConfiguration(values, _without_gaps(origin))


def _of_bundle(folder: Path, name: str, count: int) -> WarmSource:
    """Read the configuration of a bundle that `export-best` wrote."""
    files = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))["files"]
    for file in BUNDLE:
        if sha256(folder / file) != files[file]:
            raise ConfigError(f"{folder / file} was changed, so this is not what was exported.")
    catalog, metrics, provenance = (
        json.loads((folder / file).read_text(encoding="utf-8")) for file in BUNDLE[1:]
    )
    # Settings that the bundle leaves out have the defaults of then.
    stored = provenance["fingerprint"]["space"]
    defaults = {key: value for key, value in stored.items() if not isinstance(value, Mapping)}
    values = {**defaults, **flatten(read_yaml(folder / BUNDLE[0]))}
    metric, valid = metrics["metric"], metrics["valid"] or {}
    origin = {
        "source": f"the bundle of study {provenance['study']}, trial {provenance['trial']}",
        "study": provenance["study"],
        "trial": provenance["trial"],
        "value": valid.get(metric),
        "metric": metric,
        "data": provenance["data"]["name"],
        "data_hash": provenance["data_hash"],
        "ended": provenance["created"],
        "stored": str(folder.resolve()),
    }
    members = tuple(member["model"] for member in catalog["members"])
    known = KnownConfiguration(values, _without_gaps(origin))
    return WarmSource(name, count, [known], catalog["model"], members)


def _of_table(path: Path, count: int) -> list[KnownConfiguration]:
    """Read the best configurations of a table that `blade-tune trials -f csv` printed: what was searched, no more."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["state"] == "complete"]
    rows.sort(key=lambda row: (-float(row["value"]), int(row["number"])))
    best: list[KnownConfiguration] = []
    for row in rows:
        values = {
            column: _value(text_of(text))
            for column, text in row.items()
            if text and column.partition(".")[0] in GROUPS
        }
        origin = {
            "source": f"trial {row['number']} of {path.name}",
            "trial": int(row["number"]),
            "value": float(row["value"]),
            "ended": row["ended"],
            "stored": str(path.resolve()),
        }
        if values and values not in [known.values for known in best]:
            best.append(KnownConfiguration(values, _without_gaps(origin)))
    if not best:
        raise ConfigError("has no completed trial with parameters.")
    return best[:count]


def _value(text: str) -> Value:
    """Return a value of a parameter from its text in a table."""
    if text in ("True", "False"):
        return text == "True"
    for read in (int, float):
        with suppress(ValueError):
            return read(text)
    return text


def _without_gaps(origin: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in origin.items() if value is not None}

"""The trained models that a combination is made of: trials of other studies, kept as they are when it is made."""

import hashlib
import shutil
import uuid
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from optuna.trial import FrozenTrial
from safetensors.torch import load_file
from sqlalchemy.engine import URL
from torch import Tensor

from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, DataError
from blade_tune.space import nest
from blade_tune.study.definition import Member, StudyDefinition
from blade_tune.study.folder import StudyFolder
from blade_tune.study.stored import StoredStudy
from blade_tune.study.trials import best_trial


def settle_members(definition: StudyDefinition, url: URL, results: Path) -> StudyDefinition:
    """The definition with each member that was named as STUDY or STUDY:TRIAL found; nothing is written.

    A study of before keeps the members that it was made with, as long as the names fit them.

    Args:
        definition: of the combination.
        url: the database of its members' studies.
        results: where their files are.

    Raises:
        ConfigError: there is no such study or trial, or its weights were not kept.
    """
    known = StoredStudy.find(definition.name, url, results)
    before = known.definition.members if known else ()
    members = []
    for index, member in enumerate(definition.members):
        kept = before[index] if index < len(before) else None
        if isinstance(member, Member):
            members.append(member)
        elif isinstance(kept, Member) and member in (kept.study, f"{kept.study}:{kept.trial}"):
            members.append(kept)
        else:
            members.append(_find(member, url, results))
    return _with_window(replace(definition, members=tuple(members)))


def _with_window(definition: StudyDefinition) -> StudyDefinition:
    """The study with windows as long as its members', unless its space says how long they are."""
    name, default = "model.max_length", definition.configs["model"].model_fields["max_length"].default
    longest = max(int(member.settings.get("max_length", default)) for member in definition.settled_members)
    space = definition.space
    if name in space.free or longest == default:
        return definition
    if name not in space.fixed:
        return replace(definition, space=space.with_fixed({name: longest}, "--members"))
    if int(space.fixed[name]) < longest:
        raise ConfigError(f"{space.place}: {name} must be at least {longest}, a member's, got {space.fixed[name]}.")
    return definition


def _find(name: str, url: URL, results: Path) -> Member:
    study, _, number = name.partition(":")
    stored = StoredStudy.find(study, url, results)
    if stored is None:
        raise ConfigError(f"member {name}: no study {study} is stored here; run it first.")
    if stored.definition.members:
        raise ConfigError(f"member {name}: is a combination; name the studies that it is made of.")
    trial = _trial(stored, name, number)
    files = stored.files(trial)
    if not files.weights.exists():
        raise ConfigError(
            f"member {name}: {files.weights} is not there: a study keeps the weights of its best trials only (--keep)."
        )
    settings = nest(stored.values(trial)).get("model", {})
    model = stored.definition.model
    return Member(study=study, trial=trial.number, model=model, settings=settings, digest=_digest(files.weights))


def _trial(stored: StoredStudy, name: str, number: str) -> FrozenTrial:
    """The one that is named, or the best."""
    if number:
        trials = stored.trials
        if not number.isdigit() or int(number) >= len(trials):
            raise ConfigError(f"member {name}: study {stored.definition.name} has trials 0 to {len(trials) - 1}.")
        return trials[int(number)]
    best = best_trial(stored.trials)
    if best is None:
        raise ConfigError(f"member {name}: study {stored.definition.name} has no completed trial.")
    return best


def check_members(definition: StudyDefinition, data: SearchData, url: URL, results: Path) -> None:
    """Refuse members that a study cannot be made with, before anything of it is stored.

    Args:
        definition: with settled members.
        data: of the combination.
        url: the database of the members' studies.
        results: where their files, and copies of before, are.

    Raises:
        ConfigError: a member was trained on other data.
        DataError: its weights, or the copy of them, are not those that the study was made with.
    """
    known = StoredStudy.find(definition.name, url, results)
    if known and known.definition.members != definition.members:
        return  # opening it will refuse them, with what differs
    folder = StudyFolder(results, definition.name)
    for index, member in enumerate(definition.settled_members):
        copy = folder.member(index)
        if copy.exists():
            _require(copy, member.digest)
            continue
        source = StoredStudy.load(member.study, url, results)
        theirs = source.study.user_attrs["fingerprint"]["data"]
        if theirs != data.data_hash:
            raise ConfigError(
                f"member {member.study}: was trained on other data (hash {theirs[:12]}, not {data.data_hash[:12]})."
            )
        _require(source.files(source.trials[member.trial]).weights, member.digest)


def keep_members(stored: StoredStudy) -> None:
    """Copy the weights of checked members into the study's folder, where no run of their own studies removes them."""
    for index, member in enumerate(stored.definition.settled_members):
        path = stored.folder.member(index)
        if not path.exists():
            source = StoredStudy.of(stored.storage, member.study, stored.folder.results)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
            shutil.copyfile(source.files(source.trials[member.trial]).weights, temporary)
            temporary.replace(path)


def members_of(study: str, url: URL, results: Path) -> list[str]:
    """The members that a stored study was made with, as they may be named again; none where it is not stored."""
    stored = StoredStudy.find(study, url, results)
    return [f"{member.study}:{member.trial}" for member in stored.definition.settled_members] if stored else []


def member_states(definition: StudyDefinition) -> list[dict[str, Tensor]]:
    """The weights of a stored study's members, checked.

    Raises:
        DataError: a file is missing or is not as it was.
    """
    assert definition.home is not None, "a stored study has a folder"  # noqa: S101 - for the type checker
    folder = StudyFolder(definition.home.parent, definition.home.name)
    return [_state(folder.member(index), member.digest) for index, member in enumerate(definition.settled_members)]


@lru_cache(maxsize=8)
def _state(path: Path, digest: str) -> dict[str, Tensor]:
    _require(path, digest)
    return load_file(path)


def _require(path: Path, digest: str) -> None:
    if not path.exists() or _digest(path) != digest:
        raise DataError(f"{path}: must hold a member's weights as they were when the combination was made.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

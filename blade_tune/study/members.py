"""Members: the trained models that a combination is made of, which are trials of other studies.

A user names a member as STUDY or STUDY:TRIAL. `settle_members` resolves the name to a trial and the digest of its
weights, which become part of the combination's identity. `keep_members` copies the weights into the combination's own
folder, since a study removes the weights of a trial that is no longer among its best.
"""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from optuna.trial import FrozenTrial

from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, DamagedFileError, DataError
from blade_tune.files import write_whole
from blade_tune.space import nest
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.study_file import Member
from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.trials import best_trial
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.files import read_whole
from blade_tune.trial.member_weights import AS_THEN, is_whole

log = logging.getLogger(__name__)


def settle_members(definition: StudyDefinition, workspace: Workspace) -> StudyDefinition:
    """Return the definition of a combination with the names of its members resolved to trials; write nothing.

    A combination that is stored already keeps the trials that it was made with, as long as the names fit them, even if
    a member's study has found a better trial since.

    Args:
        definition: the combination.
        workspace: the database and results folder of the combination and of its members' studies.

    Raises:
        ConfigError: a study or trial of this name does not exist, or its weights were not kept.
    """
    # What the stored combination was made with goes before a new look at the members' studies.
    stored = workspace.find(definition.name)
    stored_members = stored.definition.members if stored else ()
    members = []
    for index, member in enumerate(definition.members):
        kept = stored_members[index] if index < len(stored_members) else None
        if isinstance(member, Member):
            members.append(member)
        elif isinstance(kept, Member) and member in (kept.study, f"{kept.study}:{kept.trial}"):
            members.append(kept)
        else:
            members.append(_find(member, workspace))
    return _with_window(replace(definition, members=tuple(members)))


def _with_window(definition: StudyDefinition) -> StudyDefinition:
    """Return the combination with windows as long as its members' longest, unless its space sets their length."""
    name = "model.max_length"
    default = definition.configs["model"].model_fields["max_length"].default
    members = definition.settled_members
    longest = max(int(member.settings.get("max_length", default)) for member in members)
    space = definition.space
    if name in space.free or longest == default:  # searched, or right already
        return definition
    if name not in space.fixed:
        return replace(definition, space=space.with_fixed({name: longest}, "--members"))
    if int(space.fixed[name]) < longest:
        raise ConfigError(
            f"{space.place}: {name} must be at least {longest}, a member's, got {space.fixed[name]}."
        )
    return definition


def _find(name: str, workspace: Workspace) -> Member:
    """Resolve the name of one member, STUDY for the best trial or STUDY:TRIAL for a given one."""
    study, _, number = name.partition(":")
    stored = workspace.find(study)
    if stored is None:
        raise ConfigError(f"member {name}: no study {study} is stored here; run it first.")
    if stored.definition.members:
        raise ConfigError(f"member {name}: is a combination; name the studies that it is made of.")
    return member_of(stored, _trial(stored, name, number), name)


def member_of(stored: StoredStudy, trial: FrozenTrial, name: str) -> Member:
    """Return a trial as a member of a combination, with the digest of its weights.

    Args:
        stored: the trial's study.
        trial: the trial.
        name: the member's name, for messages.

    Raises:
        ConfigError: its weights were not kept, or are damaged.
    """
    study = stored.definition.name
    files = stored.files(trial)
    if not files.weights.exists():
        raise ConfigError(
            f"member {name}: {files.weights} is not there: a study keeps the weights of its best trials only (--keep)."
        )
    try:
        # `read_whole` compares with the digest in the trial's row, if it has one: damaged weights become no member.
        weights = read_whole(files, files.weights)
    except DamagedFileError as error:
        raise ConfigError(f"member {name}: {error} {_again(study, trial.number)}") from None
    values = stored.definition.complete(stored.values(trial), f"member {name}")
    settings = nest(values)["model"]
    return Member(
        study=study,
        trial=trial.number,
        model=stored.definition.model,
        settings=settings,
        digest=hashlib.sha256(weights).hexdigest(),
    )


def _again(study: str, trial: int) -> str:
    """Return the end of a message: the command that makes the weights of a trial again."""
    return f"`blade-tune reproduce {trial} --study {study}` makes it again."


def _trial(stored: StoredStudy, name: str, number: str) -> FrozenTrial:
    """Return the trial of the given number, or the study's best trial where the number is empty."""
    if number:
        trials = stored.trials
        if not number.isdigit() or int(number) >= len(trials):
            raise ConfigError(
                f"member {name}: study {stored.definition.name} has trials 0 to {len(trials) - 1}."
            )
        return trials[int(number)]
    best = best_trial(stored.trials)
    if best is None:
        raise ConfigError(f"member {name}: study {stored.definition.name} has no completed trial.")
    return best


def check_members(definition: StudyDefinition, data: SearchData, workspace: Workspace) -> None:
    """Refuse members that a combination cannot use, before anything of the combination is stored.

    Args:
        definition: the combination, with settled members.
        data: the search data of the combination.
        workspace: the database and results folder of the members' studies, and of a combination stored before.

    Raises:
        ConfigError: a member was trained on other data.
        DataError: a member's weights are damaged or were trained anew, and the combination has no good copy of them.
    """
    known = workspace.find(definition.name)
    if known and known.definition.members != definition.members:
        return  # `open_study` will refuse the combination, and say what differs
    folder = StudyFolder(workspace.results, definition.name)
    for index, member in enumerate(definition.settled_members):
        copy = folder.member(index)
        if is_whole(copy, member.digest):  # the member's own study is not needed any more
            continue
        source = workspace.study(member.study)
        theirs = source.study.user_attrs["fingerprint"]["data"]
        if theirs != data.data_hash:
            raise ConfigError(
                f"member {member.study}: was trained on other data (hash {theirs[:12]}, not {data.data_hash[:12]})."
            )
        weights = source.files(source.trials[member.trial]).weights
        if not is_whole(weights, member.digest):
            raise DataError(f"{weights}: {AS_THEN} {_again(member.study, member.trial)}")


def keep_members(stored: StoredStudy) -> None:
    """Copy the weights of checked members into the combination's folder, where no run of their studies removes them.

    A damaged copy is replaced, with a warning in the log. A good one is left as it is.
    """
    for index, member in enumerate(stored.definition.settled_members):
        path = stored.folder.member(index)
        if is_whole(path, member.digest):
            continue
        if path.exists():
            log.warning("%s: was damaged, and is copied again from study %s", path, member.study)
        source = StoredStudy.of(stored.storage, member.study, stored.folder.results)
        files = source.files(source.trials[member.trial])
        write_whole(path, files.weights.read_bytes())


def members_of(study: str, workspace: Workspace) -> list[str]:
    """Return the members that a stored combination was made with, each as STUDY:TRIAL; none where it is not stored."""
    stored = workspace.find(study)
    members = stored.definition.settled_members if stored else []
    return [f"{member.study}:{member.trial}" for member in members]


def damaged_members(stored: StoredStudy) -> list[Path]:
    """Return the copies of members' weights in a combination's folder that differ from what was copied."""
    damaged = []
    for index, member in enumerate(stored.definition.settled_members):
        path = stored.folder.member(index)
        if path.exists() and not is_whole(path, member.digest):
            damaged.append(path)
    return damaged

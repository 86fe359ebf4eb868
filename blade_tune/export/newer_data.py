"""Newer rows for a bundle's model: a prepared split, or a log whose rows are added to the log of the bundle."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from blade_tune.catalog import Catalog
from blade_tune.data.auxiliary import as_written, auxiliaries
from blade_tune.data.config import DataConfig, data_config
from blade_tune.data.raw.append import append
from blade_tune.data.raw.prepare import OnStep
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.sources.base import open_source
from blade_tune.data.sources.split_files import read_preparation
from blade_tune.data.store import SearchData, prepare
from blade_tune.data.versions import Version, versions_of
from blade_tune.errors import DataError
from blade_tune.export.data_origin import DataOrigin
from blade_tune.export.earlier_bundle import EarlierBundle


@dataclass(frozen=True)
class NewerData:
    """Prepared newer rows that go with a bundle."""

    data: SearchData
    directory: Path  # of their files
    origin: DataOrigin
    is_same: bool  # whether they are the rows that the bundle's model was trained on


def newer_data(bundle: EarlierBundle, directory: Path, results: Path) -> NewerData:
    """Prepare a split of newer rows, and check that it goes with a bundle.

    Args:
        bundle: the bundle.
        directory: the folder of the split.
        results: the folder in which prepared data is kept.

    Raises:
        DataError: the split is missing or malformed, has other behaviors or none of the bundle's items, or is older.
    """
    catalog = bundle.loaded.model.catalog
    config = _config(bundle.name, catalog)
    place = open_source(config, directory).folder()
    assert place is not None, "split files have a folder"  # noqa: S101 - for the type checker
    _check_meaning(place, catalog, bundle.loaded.log)
    data = prepare(config, directory, results)
    origin = DataOrigin.of(data, directory)
    is_same = data.data_hash == bundle.provenance["data_hash"]
    if not is_same:
        _check_age(place, bundle, data, origin)
    if not set(origin.items) & set(bundle.loaded.items):
        raise DataError(
            f"{place}: must have items of the bundle, and none of its {data.num_items:,} is among the "
            f"{len(bundle.loaded.items):,} there: it is another log, or its ids are written otherwise."
        )
    return NewerData(data, directory, origin, is_same)


def _config(name: str, catalog: Catalog) -> DataConfig:
    """Return the settings of split files that mean what those of a bundle did."""
    auxiliary = [catalog.behaviors[column] for column in catalog.auxiliary]
    raw = {
        "name": name,
        "source": "split_files",
        "behaviors": catalog.behaviors,
        "auxiliary": as_written(auxiliary),
    }
    return data_config(raw, "the bundle's data")


def _check_meaning(place: Path, catalog: Catalog, log: LogFormat) -> None:
    """Refuse a split whose columns mean something else than those that the bundle's model knows."""
    facts = read_preparation(place)
    if "log" not in facts:  # published split files do not say what their columns mean
        return
    there = facts["log"]
    auxiliary = {catalog.behaviors[column] for column in catalog.auxiliary}
    behaviors = ",".join(catalog.behaviors)
    found = ",".join(there.get("behaviors", ()))
    if found != behaviors:
        raise DataError(
            f"{place}: must have the behaviors {behaviors}, which the bundle's model knows, in this order, and has "
            f"{found}; prepare it with --behaviors as then, or tune a model of the new ones (`blade-tune run`)."
        )
    named = set(auxiliaries(facts.get("auxiliary")))
    if named != auxiliary:
        raise DataError(
            f"{place}: must have {_listed(auxiliary)} as auxiliary, as the bundle's data, and has {_listed(named)}; "
            "prepare it with --auxiliary as then, or tune a model of what is a target now (`blade-tune run`)."
        )
    if bool(there.get("keep_repeats")) != log.keep_repeats:
        words = ("no repeats", "all repeats")
        raise DataError(
            f"{place}: must have {words[log.keep_repeats]} of a user's interactions, as the bundle's data, and has "
            f"{words[not log.keep_repeats]}; prepare it as then (--keep-repeats)."
        )


def _listed(names: set[str]) -> str:
    return ",".join(sorted(names)) or "none"


def _check_age(place: Path, bundle: EarlierBundle, data: SearchData, origin: DataOrigin) -> None:
    """Refuse rows that are older than the bundle's, as far as that is known."""
    then, now = bundle.provenance["data"], origin.facts
    fact = ""
    if any(before["data_hash"] == data.data_hash for before in bundle.history):
        fact = "are those of a bundle before it"
    versions = {str(version.folder.resolve()): version.number for version in versions_of(place)}
    own, earlier = (versions.get(name, 0) for name in (str(place.resolve()), then.get("folder")))
    if not fact and own < earlier:
        fact = f"are version {own} of the log, and the bundle's are version {earlier}"
    ends = [(facts.get("time_span") or {}).get("last") for facts in (now, then)]
    if not fact and is_earlier(*ends):
        fact = f"end at {ends[0]}, and the bundle's at {ends[1]}"
    if fact:
        raise DataError(
            f"{place}: must have newer rows than the bundle was trained on, and they {fact}; give the newest split."
        )


def is_earlier(moment: Any, other: Any) -> bool:
    """Return whether a time of a log is before another; False where they cannot be compared."""
    try:
        return Decimal(moment) < Decimal(other)
    except (InvalidOperation, TypeError, ValueError):
        pass
    try:
        return datetime.fromisoformat(moment) < datetime.fromisoformat(other)
    except (TypeError, ValueError):  # not there, dates in another form, or only one with a zone
        return False


def appended(
    bundle: EarlierBundle, sources: Sequence[Path], results: Path, on_step: OnStep
) -> Path:
    """Add the rows of newer files to the log that a bundle's model was trained on.

    Args:
        bundle: the bundle.
        sources: the files, which are added one after the other.
        results: the folder in which prepared data is kept.
        on_step: called at the start of each step.

    Returns:
        The folder of the newest version of the log; an older one if it has all rows already.

    Raises:
        DataError: the log is not found, or the files cannot be added to it.
    """
    newest = _log_of(bundle, sources, results)[-1]
    for source in sources:
        newest = append(newest, source, on_step) or newest
    return newest.folder


def _log_of(bundle: EarlierBundle, sources: Sequence[Path], results: Path) -> list[Version]:
    """Return all versions of the log that a bundle's model was trained on."""
    remembered = bundle.provenance["data"].get("folder")
    places = [Path(remembered)] if remembered else []
    places.append(Path("data") / bundle.name)
    by_hand = " && ".join(
        f"blade-tune data prepare event-log --append --source {shlex.quote(str(source))} --name {bundle.name}"
        for source in sources
    )
    way_out = (
        f"add the rows where the log is (`{by_hand}`), and give the newest version of its split with --data; or "
        "prepare the whole log anew"
    )
    config = _config(bundle.name, bundle.loaded.model.catalog)
    for place in places:
        versions = versions_of(place)
        for version in reversed(versions):
            if prepare(config, version.folder, results).data_hash == bundle.provenance["data_hash"]:
                return versions
    looked = " or ".join(map(str, places))
    raise DataError(
        f"{looked}: must hold the log that the bundle was trained on, and does not; {way_out}."
    )

"""Measurement of a data set's x-ray, which is made once for each protocol and kept on disk."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blade_tune.data import digest, measured
from blade_tune.data.store import SearchData
from blade_tune.xray.task import Exclude, valid_task
from blade_tune.xray.verdict import NAMES, Finding

# Raise it when a verdict or figure may come out differently, so that kept x-rays are measured again
VERSION = 1

Findings = Mapping[str, Finding]


def measure(
    data: SearchData, exclude: Exclude, window: int, tell: Callable[[str], object] = lambda _: None
) -> Findings:
    """Compare recommenders on the valid rows; sealed rows are not opened.

    Args:
        data: the search data.
        exclude: which met items are not ranked.
        window: number of newest interactions that a recommender sees.
        tell: called with the name of each finding before it is measured.

    Returns:
        Name of a comparison -> its finding.
    """
    from blade_tune.xray.arms import Arms  # loads torch, which reading a kept x-ray does not need
    from blade_tune.xray.findings import COMPARISONS

    task = valid_task(data, window, exclude)
    arms = Arms(task, data.catalog)

    # Note in each finding where less than all was looked at.
    limits = {}
    if len(task) < len(data.valid):
        limits["of_users"] = len(data.valid)
    if task.reach < window:
        limits["pairs_up_to"] = task.reach

    findings = {}
    for name, comparison in COMPARISONS.items():
        tell(name)
        finding = comparison(arms)
        findings[name] = replace(finding, details={**finding.details, **limits})
    return findings


def xray(
    data: SearchData,
    exclude: Exclude,
    window: int,
    root: Path,
    tell: Callable[[str], object] = lambda _: None,
) -> Findings:
    """Return the findings of a data set and protocol, measured now unless they were kept before.

    Args:
        data: the search data.
        exclude: which met items are not ranked.
        window: number of newest interactions that a recommender sees.
        root: folder in which measurements are kept.
        tell: called with the name of each finding before it is measured; not called for kept findings.

    Returns:
        Name of a comparison -> its finding.
    """
    known = known_xray(data.data_hash, exclude, window, root)
    if known is not None:
        return known
    findings = measure(data, exclude, window, tell)
    facts = {name: finding.facts for name, finding in findings.items()}
    path = _cache_path(data.data_hash, exclude, window, root)
    measured.keep(path, {}, facts)
    return findings


def known_xray(data_hash: str, exclude: Exclude, window: int, root: Path) -> Findings | None:
    """Return the findings that were kept for a data set and protocol, or None; nothing is measured."""
    return measured.find(_cache_path(data_hash, exclude, window, root), _read)


def _read(_: measured.Arrays, facts: Mapping[str, Any]) -> Findings:
    return {name: Finding.of_facts(facts[name]) for name in NAMES}


def _cache_path(data_hash: str, exclude: Exclude, window: int, root: Path) -> Path:
    key = digest.key(xray=VERSION, data=data_hash, exclude=exclude, window=window)
    return root / ".xray" / key

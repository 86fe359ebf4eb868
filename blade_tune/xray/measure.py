"""The x-ray of a data set: measured once for each protocol and kept."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from blade_tune.data import digest, measured
from blade_tune.data.store import SearchData
from blade_tune.xray.arms import Arms
from blade_tune.xray.findings import COMPARISONS
from blade_tune.xray.task import Exclude, valid_task
from blade_tune.xray.verdict import Finding

VERSION = 1  # raise where another verdict or figure may come out than before

Findings = Mapping[str, Finding]


def measure(
    data: SearchData, exclude: Exclude, window: int, tell: Callable[[str], object] = lambda _: None
) -> Findings:
    """Compare recommenders on the valid rows; the sealed rows are not opened.

    Args:
        data: the search data.
        exclude: met items that are not ranked.
        window: newest interactions that a recommender sees.
        tell: is told the name of each finding before it is measured.
    """
    task = valid_task(data, window, exclude)
    arms = Arms(task, data.catalog)
    less = {"of_users": len(data.valid)} if len(task) < len(data.valid) else {}
    less |= {"pairs_up_to": task.reach} if task.reach < window else {}
    findings = {}
    for name, comparison in COMPARISONS.items():
        tell(name)
        found = comparison(arms)
        findings[name] = replace(found, details={**found.details, **less})
    return findings


def xray(
    data: SearchData, exclude: Exclude, window: int, root: Path, tell: Callable[[str], object] = lambda _: None
) -> Findings:
    """The same, measured once for each data set and protocol.

    Args:
        data: the search data.
        exclude: met items that are not ranked.
        window: newest interactions that a recommender sees.
        root: a folder to keep what was measured in.
        tell: is told the name of each finding before it is measured; of what was kept nothing is told.
    """
    known = known_xray(data.data_hash, exclude, window, root)
    if known is None:
        findings = measure(data, exclude, window, tell)
        facts = {name: finding.facts for name, finding in findings.items()}
        measured.keep(_place(data.data_hash, exclude, window, root), {}, facts)
        return findings
    return known


def known_xray(data_hash: str, exclude: Exclude, window: int, root: Path) -> Findings | None:
    """What was measured before, or None; nothing is measured."""
    return measured.find(
        _place(data_hash, exclude, window, root),
        lambda _, facts: {name: Finding.of_facts(facts[name]) for name in COMPARISONS},
    )


def _place(data_hash: str, exclude: Exclude, window: int, root: Path) -> Path:
    return root / ".xray" / digest.key(xray=VERSION, data=data_hash, exclude=exclude, window=window)

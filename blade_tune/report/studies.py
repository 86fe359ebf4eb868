"""All studies of a database as rows of plain data: what each searches, how far it is, what was found, and who works."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blade_tune.errors import BladeTuneError
from blade_tune.report import Row
from blade_tune.selection.comparison_name import ComparisonName
from blade_tune.spec.definition import OF_RUNS, OF_VARIANTS
from blade_tune.storage.connect import open_storage
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.overview import StudyFigures, all_figures
from blade_tune.storage.spending import ATTRIBUTE, UNLIMITED
from blade_tune.study.progress import why_done
from blade_tune.study.stored import BASELINES, StoredStudy
from blade_tune.study.verdict import of_pair
from blade_tune.study.workspace import Workspace
from blade_tune.training.baselines import REFERENCE

READ = ("definition", "budget", ATTRIBUTE, BASELINES)  # the user attributes of studies
RUNNING, CAN_GO_ON, DONE, UNKNOWN = "running", "can go on", "done", "unknown"
MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds


def study_rows(workspace: Workspace, grace_s: float) -> list[Row]:
    """Return a row for each study of a database that a run has made, the one that was changed last first.

    All rows have the same columns. `part_of` is the study or the comparison that a study is a part of, or None.

    Args:
        workspace: the database with its results folder.
        grace_s: seconds without a heartbeat after which a worker of another machine counts as gone.

    Raises:
        StorageError: the database cannot be reached.
        NothingStoredError: the database does not exist, so no study has been run here.
    """
    storage = open_storage(workspace.url, create=False)
    studies, now = all_figures(storage, READ)
    ours = [study for study in studies if "definition" in study.attributes]
    ours.sort(key=lambda study: study.last_change or 0.0, reverse=True)
    rows = []
    for study in ours:
        read = _progress(study, workspace, storage) if _needs_its_trials(study) else None
        rows.append(_row(study, read, now, grace_s))
    return rows


def part_of(name: str) -> str | None:
    """Return the study or the comparison that a study is a part of, by its name; None for a study that stands alone."""
    if name.endswith(OF_RUNS):
        return name.removesuffix(OF_RUNS)
    if OF_VARIANTS in name:
        return name.partition(OF_VARIANTS)[0]
    comparison = ComparisonName.of_search(name)
    return str(comparison) if comparison else None


def brief_studies(rows: Sequence[Row]) -> list[Row]:
    """Return the columns of study rows that fit a screen, in words."""
    kept = []
    for row in rows:
        budget = f" of {row['budget']}" if row["budget"] else ""
        if row["spent"]:  # the limit is of steps or hours
            budget = f" ({row['spent']})"
        above = {True: "yes", False: "no", None: None}[row["is_above"]]
        kept.append(
            {
                "study": row["study"],
                "model": row["model"],
                "data": row["data"],
                "state": row["state"],
                "scored": f"{row['scored']}{budget}",
                "best": row["best"],
                REFERENCE: row["baseline"],
                "above it": above,
                "active": age_words(row["age_s"]),
                "who": row["who"],
                "metric": row["metric"],
            }
        )
    return kept


def age_words(seconds: float | None) -> str | None:
    """Return how long ago something was, in its largest unit: "3 min ago"; None for what never was."""
    if seconds is None:
        return None
    if seconds < MINUTE:
        return "now"
    for unit, length, end in (("min", MINUTE, HOUR), ("h", HOUR, 2 * DAY)):
        if seconds < end:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds // DAY:.0f} days ago"


def _row(study: StudyFigures, read: "_Progress | None", now: float, grace_s: float) -> Row:
    definition, best = study.attributes["definition"], study.best
    metric = definition.get("objective", {}).get("metric")
    baselines = study.attributes.get(BASELINES, {}).get("metrics", {})
    alive = [
        activity.owner.who
        for activity in study.active
        if now - activity.renewed < grace_s and not activity.owner.is_gone()
    ]
    who = alive or ([study.latest.owner.who] if study.latest else [])
    budget = study.attributes.get("budget")
    verdict = None
    if best and best.paired and not definition.get("given"):
        verdict = of_pair(best.paired, study.num_completed)
    changed = study.last_change
    return {
        "study": study.name,
        "model": definition.get("model"),
        "data": definition.get("data", {}).get("name"),
        "metric": metric,
        "state": RUNNING if alive else _state(study, budget, read),
        "scored": study.num_scored,
        "budget": budget if budget is not None and budget < UNLIMITED else None,
        "spent": read.spent if read else None,
        "best": best.value if best else None,
        "best_trial": best.number if best else None,
        "baseline": baselines.get(REFERENCE, {}).get(metric),
        "is_above": verdict.is_above if verdict else None,
        "verdict": str(verdict) if verdict else None,
        "workers": len(alive),
        "who": list(dict.fromkeys(who)),
        "last_activity": _time(changed),
        "age_s": None if changed is None else round(max(0.0, now - changed), 1),
        "part_of": part_of(study.name),
    }


@dataclass(frozen=True)
class _Progress:
    """What only the trials of a study tell."""

    is_done: bool
    spent: str | None  # of a limit of steps or hours: "1,200 of 36,000 steps"


def _progress(study: StudyFigures, workspace: Workspace, storage: StudyStorage) -> _Progress | None:
    """Read the trials of a study; None where this version cannot open it, which must not hide all others."""
    try:
        stored = StoredStudy.of(storage, study.name, workspace.results)
        limit = stored.limit
        spent = limit.spent_words(stored.trials) if limit else None
        return _Progress(why_done(stored) is not None, spent)
    except BladeTuneError:
        return None


def _needs_its_trials(study: StudyFigures) -> bool:
    """Whether the number of scored trials does not tell if a study is done.

    It may be limited otherwise, have tried every point, have paused trials that go on, or be a study of runs.
    """
    definition: Mapping[str, Any] = study.attributes["definition"]
    search = definition.get("search", {})
    is_promoting = search.get("pruner", {}).get("kind") == "promote"
    is_grid = search.get("sampler") == "grid"
    is_limited = bool(study.attributes.get(ATTRIBUTE))
    return is_limited or is_grid or is_promoting or bool(definition.get("given"))


def _state(study: StudyFigures, budget: int | None, read: "_Progress | None") -> str:
    if _needs_its_trials(study):
        if read is None:
            return UNKNOWN
        return DONE if read.is_done else CAN_GO_ON
    if budget is None:
        return UNKNOWN
    return DONE if study.num_scored >= budget else CAN_GO_ON


def _time(seconds: float | None) -> str | None:
    """Return a time as ISO text in UTC, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Plan of a run as plain rows: every setting, its value, and where the value comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from blade_tune.config import flatten
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.precedence import BUILT_IN, Resolved
from blade_tune.report import Row
from blade_tune.report.section import plural, value_text
from blade_tune.report.spaces import space_rows
from blade_tune.spec import recipes
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.fingerprint import differences
from blade_tune.storage.connect import masked
from blade_tune.study.create import TrialBudget
from blade_tune.study.stored import StoredStudy
from blade_tune.study.warm_start import WarmSource, WarmStart, origin_words, plan

STORED = "stored study"
FLAGS = {  # a value of the definition -> the command-line flag that may set it
    "model": "model",
    "recipe": "recipe",
    "train.max_epochs": "epochs",
    "search.seed": "seed",
    "search.sampler": "sampler",
    "search.pruner.kind": "pruner",
}


def run_rows(
    resolved: Resolved,
    places: Sequence[Placement],
    budget: tuple[int, str],
    stored: StoredStudy | None,
) -> list[Row]:
    """Return a row for each run setting, in which open ones have the value that will be used, and one for each worker.

    Args:
        resolved: the settings and their origins.
        places: the places of the workers; none if a cluster places them.
        budget: the number of scored trials and its origin, from `settle_budget`.
        stored: the study, if it is stored.
    """
    settings, origins = resolved.settings, dict(resolved.origins)
    values = settings.model_dump(mode="json")
    values["trials"], origins["trials"] = budget
    values["workers"] = len(places) or values["workers"]
    values["storage"] = masked(settings.workspace.url)
    # Without --data, a stored study remembers the folder of its data.
    if stored and settings.data is None:
        remembered = stored.data_directory(None)
        if remembered:
            values["data"], origins["data"] = str(remembered), STORED
    rows = [_row(name, value, origins[name]) for name, value in values.items()]
    for index, place in enumerate(places):
        device = f"{place.device} {place.visible}" if place.visible else place.device
        value = f"{place.share:.0%} of {device}, {plural(place.threads, 'CPU thread')}"
        rows.append(_row(f"worker {index}", value, "this machine"))
    return rows


def settle_budget(
    resolved: Resolved, definition: StudyDefinition, total: TrialBudget, stored: StoredStudy | None
) -> tuple[int, str]:
    """Return the total number of scored trials that a run would aim for, and where that number comes from."""
    asked_for = total.trials or definition.search.trials
    budget = asked_for + total.add
    if stored:
        budget = total.settle(definition.search.trials, stored.study)
    if total.add:
        return budget, "--add"
    return budget, resolved.origins["trials"] if budget == asked_for else STORED


def definition_rows(
    definition: StudyDefinition, source: StudySource, flags: Mapping[str, Any]
) -> list[Row]:
    """Return a row for each value of a study's definition, with those of its space at the end.

    Args:
        definition: the study.
        source: the file that the study was read from.
        flags: model, recipe, epochs, seed, sampler and pruner as typed, or None.
    """
    content, space = source.content, definition.space

    # Where values come from: the study's file, or a flag
    origins = dict.fromkeys((*content, *flatten(content)), str(source.path))
    if definition.model != content["model"]:  # a model of the flag brings its own space
        origins |= {"space": "--model", "enqueue": "--model"}
    if definition.recipe != content.get("recipe", recipes.OF_FILES):
        origins |= {"enqueue": "--recipe"}
    for name, flag in FLAGS.items():
        if flags.get(flag) is not None:
            origins[name] = f"--{flag}"

    # The study itself
    values = {
        "model": definition.model,
        "recipe": definition.recipe,
        "data": definition.data.model_dump(mode="json"),
        "objective": definition.objective.model_dump(mode="json"),
        "search": definition.search.model_dump(mode="json", exclude={"trials"}),  # a run setting
        "enqueue": len(definition.enqueue),
        "space": space.place,
    }
    rows = []
    for name, value in flatten(values).items():
        rows.append(_row(name, value, origins.get(name, BUILT_IN)))

    # Its space
    points = space.count()
    rows.append(_row("space points", "continuous" if points is None else points, space.place))
    by_recipe = recipes.values(definition.recipe)
    for parameter in space_rows(space, definition.configs):
        name, kind, value = parameter["name"], parameter["kind"], parameter["value"]
        is_fixed_by_recipe = (
            kind == "fixed" and name not in origins and by_recipe.get(name) == space.fixed[name]
        )
        if is_fixed_by_recipe:
            origin = f"recipe {definition.recipe}"
        elif kind == "default":
            origin = BUILT_IN
        else:
            origin = origins.get(name, space.place)
        rows.append(_row(name, f"free: {value}" if kind == "free" else value, origin))
    return rows


def warm_rows(
    definition: StudyDefinition,
    sources: Sequence[WarmSource],
    budget: int,
    stored: StoredStudy | None,
) -> list[Row]:
    """Return a row for each configuration of other studies that a study tries, and for each that it does not.

    Args:
        definition: the study.
        sources: the sources that are named now.
        budget: how many trials are scored in all.
        stored: the study, if it is stored.
    """
    before = WarmStart.all_of(stored.study) if stored else []
    starts = [(start, STORED) for start in before]
    for start in plan(definition, sources, budget, stored.study if stored else None):
        starts.append((start, f"--warm-start {start.source}"))
    rows = []
    for start, origin in starts:
        for entry in start.entries:
            values = ", ".join(
                f"{name} {value_text(value)}" for name, value in entry.values.items()
            )
            rows.append(_row(entry.tag, f"{values}: {origin_words(entry.metadata)}", origin))
        rows += [_row("not taken", sentence, origin) for sentence in start.left_out]
    return rows


def stored_rows(definition: StudyDefinition, stored: StoredStudy | None) -> list[Row]:
    """Return a row on a stored study's progress, and one for each difference because of which a run would refuse it.

    A difference of its data is not among them, for a plan does not prepare the data.
    """
    if stored is None:
        return [_row("stored", "not yet", STORED)]
    identity = stored.study.user_attrs["fingerprint"]
    rows = [_row("stored", stored.progress_words(stored.trials), STORED)]
    for name, before, now in differences(identity, definition, identity["data"]):
        rows.append(_row(f"differs: {name}", f"stored {before!r}, now {now!r}", STORED))
    return rows


def _row(name: str, value: Any, origin: str) -> Row:
    return {"setting": name, "value": value, "origin": origin}

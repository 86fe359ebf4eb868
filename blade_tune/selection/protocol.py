"""The protocol under which figures were made, in words that every table carries."""

from collections.abc import Iterable, Mapping, Sequence

from blade_tune.catalog import Catalog
from blade_tune.choices import TargetSet
from blade_tune.errors import DataError
from blade_tune.parameter import Value
from blade_tune.selection.confirm import is_seeded, load_confirmation
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.trials import best_trial
from blade_tune.study.stored import StoredStudy


def protocol_line(searches: Sequence[StoredStudy], losses: Iterable[str], num_seeds: int) -> str:
    """Return a line that says how the figures of a table were made, with the names and values of study files.

    Args:
        searches: the searches whose trials or runs the table shows; of several, values that differ are all named.
        losses: the losses that the table's configurations were trained with; empty ones, of fitted models, are left
            out.
        num_seeds: number of fresh seeds of each configuration; 0 where nothing was confirmed.
    """
    definitions = [search.definition for search in searches]
    parts = [
        f"loss {_either(losses) or 'none'}",
        f"recipe {_either(definition.recipe for definition in definitions)}",
        f"exclude {_either(definition.objective.exclude for definition in definitions)}",
        f"target_set {_either(definition.objective.target_set for definition in definitions)}",
        f"budget {_budget(searches)}",
        _seeds(definitions, num_seeds),
        f"test rows {openings(searches)}",
    ]
    return f"protocol: {', '.join(parts)}"


def study_protocol(stored: StoredStudy, num_seeds: int | None = None) -> str:
    """Return the line of a single search, with the loss of its confirmed winner, or else of its best trial.

    Args:
        stored: the search.
        num_seeds: number of seeds of the table's configurations; None for those of the confirmation.
    """
    confirmation = load_confirmation(stored)
    best = best_trial(stored.trials)
    values: Mapping[str, Value] = stored.values(best) if best else {}
    if confirmation:
        values = confirmation.winner.values
    if num_seeds is None:
        num_seeds = len(confirmation.seeds) if confirmation else 0
    return protocol_line([stored], [loss_of(stored.definition, values)], num_seeds)


def loss_of(definition: StudyDefinition, values: Mapping[str, Value]) -> str:
    """Return the name of the loss that a configuration is trained with; empty for a fitted model, which has none."""
    if definition.is_fitted:
        return ""
    default = definition.configs["model"].model_fields["loss"].default
    return str({**definition.space.fixed, **values}.get("model.loss", default))


def openings(searches: Iterable[StoredStudy]) -> str:
    """Return in words how often searches opened the test rows, by the lines of their ledgers."""
    try:
        count = sum(len(search.ledger.openings()) for search in searches)
    except DataError:
        return "opened an unknown number of times (a ledger is broken)"
    return {0: "never opened", 1: "opened once"}.get(count, f"opened {count:,} times")


def told_of(target_set: TargetSet, catalog: Catalog) -> str:
    """Return in words what models that take a target set are told of the item to predict under a protocol."""
    set_K = catalog.told_set(target_set)
    if set_K is None:
        return "is told the behavior set of the item to predict, or its label"
    names = ", ".join(catalog.names_of(set_K))
    return f"takes a target set, and is told the same for every item to predict, {{{names}}}: nothing of the item"


def _seeds(definitions: Iterable[StudyDefinition], num_seeds: int) -> str:
    if not any(is_seeded(definition) for definition in definitions):
        return "the same on every seed"
    return f"{num_seeds or 'no'} fresh {'seed' if num_seeds == 1 else 'seeds'}"


def _budget(searches: Sequence[StoredStudy]) -> str:
    epochs = _either(_epochs(search.definition) for search in searches)
    if any(search.limit for search in searches):
        limits = _either(str(search.limit or f"{search.budget:,} fits") for search in searches)
        return f"{limits}, max_epochs {epochs}" if epochs else limits
    trials = _either(f"{search.budget:,}" for search in searches)
    return f"{trials} trials" + (f" of max_epochs {epochs}" if epochs else "")


def _epochs(definition: StudyDefinition) -> str:
    """Return the most epochs of a search's trials; empty for models that are fitted at once."""
    return "" if definition.is_fitted else f"{definition.train.max_epochs:,}"


def _either(values: Iterable[str]) -> str:
    """Return distinct values, without empty ones, joined by "or"."""
    return " or ".join(dict.fromkeys(value for value in values if value))

"""A comparison as it is stored: its searches found by their names, and its result from what was measured before.

Nothing is trained for it and no test row is opened. A comparison has no list of its models but the database: `compare`
makes the searches of all models before it runs the first, so those of one that still runs, or that an earlier version
made, are found too. Where contrasts were named, the ledger has the list, models that are still to be made among it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from blade_tune.config import known_names
from blade_tune.errors import ConfigError
from blade_tune.selection.compare import uneven
from blade_tune.selection.comparison import Comparisons
from blade_tune.selection.comparison_name import ComparisonName
from blade_tune.selection.confirm import ATTRIBUTE, load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.contenders import compare
from blade_tune.selection.contrasts import Contrasts, latest_contrasts
from blade_tune.selection.scores import EvaluatedPart
from blade_tune.selection.testing import Opening, are_tested
from blade_tune.selection.told import stored_told, told_beside
from blade_tune.spec.definition import OF_RUNS
from blade_tune.storage.spending import UNLIMITED, Limit
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace


@dataclass(frozen=True)
class StoredComparison:
    """The stored searches of a comparison."""

    name: ComparisonName
    found: tuple[StoredStudy, ...]  # every search of the name, in the order in which they were made
    # What `on` has computed
    computed: dict[EvaluatedPart, Comparisons | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def find(cls, workspace: Workspace, name: str) -> "StoredComparison | None":
        """Return the comparison of a name, such as "demo.compare"; None if the database has no search of it.

        Raises:
            StorageError: the database cannot be reached.
            NothingStoredError: the database does not exist, so no study has been run here.
        """
        searches = [
            (of, search)
            for search in workspace.names()
            if (of := ComparisonName.of_search(search)) and str(of) == name.rstrip("-")
        ]
        if not searches:
            return None
        return cls(searches[0][0], tuple(workspace.study(search) for _, search in searches))

    @cached_property
    def contrasts(self) -> Contrasts | None:
        """The contrasts that were named last; None where all models are compared with all others."""
        return latest_contrasts(self.found)

    @property
    def models(self) -> list[str]:
        """The models: those of the contrasts, or else all that were searched."""
        found = [stored.label for stored in self.found]
        if self.contrasts is None:
            return found
        named = (self.contrasts.against, *self.contrasts.models)
        return sorted(named, key=lambda model: found.index(model) if model in found else len(found))

    @property
    def others(self) -> list[str]:
        """The models that were searched too and are not among those of the contrasts."""
        return [stored.label for stored in self.found if stored.label not in self.models]

    @cached_property
    def searches(self) -> list[StoredStudy]:
        """The searches of the models that have one."""
        return [stored for stored in self.found if stored.label in self.models]

    @cached_property
    def confirmations(self) -> dict[str, Confirmation]:
        """Model -> its confirmation, of those whose winner is confirmed."""
        loaded = {stored.label: load_confirmation(stored) for stored in self.searches}
        return {model: found for model, found in loaded.items() if found}

    @property
    def missing(self) -> dict[str, str]:
        """Model -> how far it is, of those whose winner is not confirmed."""
        by_label = {stored.label: stored for stored in self.searches}
        words = {}
        for model in self.models:
            if model in self.confirmations:
                continue
            stored = by_label.get(model)
            words[model] = "not begun"
            if stored and ATTRIBUTE in stored.study.user_attrs:
                words[model] = "its winner is not confirmed on every seed"
            elif stored and num_scored(stored.trials):
                words[model] = stored.progress_words(stored.trials)
        return words

    def on(self, part: EvaluatedPart) -> Comparisons | None:
        """Return the comparison of the models that have figures on a part of the data; None where under two have.

        On test rows these are the models whose runs were all tested before. It is computed once.

        Raises:
            RunsMissingError: files of a winner's runs are not in the results folder.
            DataError: the data or a ledger is not what it was.
        """
        if part not in self.computed:
            self.computed[part] = self._compare(part)
        return self.computed[part]

    def _compare(self, part: EvaluatedPart) -> Comparisons | None:
        ready = [
            stored
            for stored in self.searches
            if (confirmation := self.confirmations.get(stored.label))
            and (part == "valid" or are_tested(stored, confirmation))
        ]
        if len(ready) < 2:
            return None
        import torch

        opening = Opening("report", torch.device("cpu"), None)
        against = self.contrasts.against if self.contrasts else None
        if against not in [stored.label for stored in ready]:
            against = None
        found = compare(ready, part, opening, against)
        wanted = stored_told(found.entries, part)
        told = told_beside(found.entries, wanted, found.metric, part, opening)
        return replace(found, told=told, contrasts=self.contrasts if against else None)

    @property
    def limit(self) -> Limit | None:
        """The limit of steps or hours of each search; None where only trials are counted."""
        return next((stored.limit for stored in self.searches if stored.limit), None)

    @property
    def command(self) -> str:
        """The command that goes on with the comparison or repeats it, from what its searches store.

        How many seeds there are is stored with the first confirmation of a model that they change.
        """
        asked: list[dict[str, Any]] = [
            stored.study.user_attrs[ATTRIBUTE]
            for stored in self.searches
            if ATTRIBUTE in stored.study.user_attrs
        ]
        if self.name.kind == "auto":
            return f"blade-tune auto --study {self.name.study} --for 30m"
        words = ["blade-tune compare --study", self.name.study, "--models", ",".join(self.models)]
        for flag, change in (("--recipe", self.name.recipe), ("--loss", self.name.loss)):
            words += [flag, change] if change else []
        words += ["--budget", self._budget]
        # Models have lengths of their own where that of the recipe was not replaced
        lengths = {
            search.definition.train.max_epochs
            for search in self.searches
            if not search.definition.is_fitted
        }
        words += ["--epochs", str(max(lengths))] if len(lengths) == 1 else []
        seeds = max((each["seeds"] for each in asked), default=0)
        if seeds > 1:  # models that no seed changes have one
            top = max(len(each["trials"]) for each in asked)
            words += ["--top", str(top), "--seeds", str(seeds)]
        words += ["--against", self.contrasts.against] if self.contrasts else []
        if not self.missing and uneven(self.searches, None, self.limit):
            words.append("--uneven")
        return " ".join(words)

    @property
    def _budget(self) -> str:
        """The budget of each search as `--budget` takes it."""
        if self.limit:
            return f"{self.limit.unit}:{self.limit.total:g}"
        budgets = [stored.budget for stored in self.searches if stored.budget < UNLIMITED]
        return f"trials:{max(budgets)}"


def known(studies: Iterable[str]) -> list[str]:
    """Return the names of all comparisons that some studies are searches of."""
    names = map(ComparisonName.of_search, studies)
    return list(dict.fromkeys(str(name) for name in names if name))


def require(workspace: Workspace, name: str) -> StoredStudy | StoredComparison:
    """Return the stored study or the comparison of a name, the study where both are there.

    Raises:
        StorageError: the database cannot be reached.
        NothingStoredError: the database does not exist, so no study has been run here.
        ConfigError: neither is stored; the message lists names, similar ones first.
    """
    try:
        return workspace.study(name)
    except ConfigError:
        comparison = StoredComparison.find(workspace, name)
        if comparison:
            return comparison
        names = workspace.names()
        if name in names:  # a study of another program
            raise
    comparisons = known(names)
    names = [each for each in names if not each.endswith(OF_RUNS)]
    listed = f" Comparisons: {', '.join(comparisons)}." if comparisons else ""
    raise ConfigError(
        f"no study or comparison {name!r} is stored. {known_names(name, [*names, *comparisons])}{listed}"
    )

"""Names of comparisons, and of the searches that each is made of: STUDY.compare-[RECIPE-][LOSS-]MODEL.

What `auto` has searched is a comparison too, of unequal budgets: STUDY.auto-[RECIPE-]MODEL.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from blade_tune.choices import NextItemLoss
from blade_tune.models import MODELS
from blade_tune.spec.recipes import RECIPES, RecipeName

ComparisonKind = Literal["compare", "auto"]  # the command that made it


@dataclass(frozen=True)
class ComparisonName:
    """What the name of a comparison says: its study file, and how its models are trained where not as the file says."""

    study: str  # name of the study file
    recipe: RecipeName | None = None  # None for the study file's
    loss: NextItemLoss | None = (
        None  # None for the recipe's, or the one that each model was published with
    )
    kind: ComparisonKind = "compare"

    def __str__(self) -> str:
        changes = (change for change in (self.recipe, self.loss) if change)
        return "-".join((f"{self.study}.{self.kind}", *changes))

    def search(self, model: str) -> str:
        """Return the name of the study in which a model is searched."""
        return f"{self}-{model}"

    @classmethod
    def of_search(cls, name: str) -> "ComparisonName | None":
        """Return the comparison that a study is a search of; None for any other study."""
        for kind in get_args(ComparisonKind):
            if found := cls._of_search(name, kind):
                return found
        return None

    @classmethod
    def _of_search(cls, name: str, kind: ComparisonKind) -> "ComparisonName | None":
        study, _, rest = name.rpartition(f".{kind}-")
        *changes, model = rest.split("-")
        recipe = changes.pop(0) if changes and changes[0] in RECIPES else None
        loss = changes.pop(0) if changes and changes[0] in get_args(NextItemLoss) else None
        if not study or changes or model not in MODELS:
            return None
        changes_of_training = cast("RecipeName | None", recipe), cast("NextItemLoss | None", loss)
        return cls(study, *changes_of_training, kind)

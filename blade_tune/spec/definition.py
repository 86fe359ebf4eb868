"""Study definitions: a study file with its search space and the settings of its data, checked before anything runs.

The keys of a file are checked one at a time by `study_file.StudyFile`, and the whole here, against the settings of the
model. Importing this module loads no torch; naming a model does.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blade_tune.config import Settings, flatten, guess, known_names, overridden, parse
from blade_tune.data.config import DataConfig, data_config
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS, config_class
from blade_tune.models.settings.base import NeuralConfig
from blade_tune.models.settings.earlier import EARLIER
from blade_tune.parameter import Value
from blade_tune.space import Space, nest
from blade_tune.spec import recipes
from blade_tune.spec.catalog import StudySource, find
from blade_tune.spec.old_words import modernized, with_earlier_defaults
from blade_tune.spec.published import LENGTH, with_published
from blade_tune.spec.recipes import RecipeName
from blade_tune.spec.space_check import check_searched, check_space, check_stored_space
from blade_tune.spec.space_files import load_space
from blade_tune.spec.study_file import Enqueued, Member, PrunerConfig, SearchConfig, StudyFile
from blade_tune.training.config import EvaluationConfig, FitConfig, TrainConfig

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

OF_RUNS = ".runs"  # how the name of a study of runs ends
OF_VARIANTS = (
    ".ablate-"  # between the name of a study and the label of a variant that is searched anew
)
# The model that is made of other studies' trials, and of how many at most.
COMBINATION, MOST_MEMBERS = "combination", 5


@dataclass(frozen=True)
class StudyDefinition:
    """A checked study file with its search space and the settings of its data.

    `load` reads one from a file, `from_stored` from a database; `to_mapping` writes one.
    """

    name: str
    model: str  # a key of MODELS
    space: Space
    data: DataConfig
    objective: EvaluationConfig
    search: SearchConfig
    enqueue: tuple[Enqueued, ...]
    recipe: RecipeName = "published"
    # Whether this is a study of runs, whose trials are put in and not proposed.
    is_given: bool = False
    # The members of a combination, which are names until `members.settle_members` resolves them.
    members: tuple[Member | str, ...] = ()
    # The folder of a stored study, which has its members' weights.
    home: Path | None = field(default=None, compare=False)

    @classmethod
    def load(
        cls,
        study: str | StudySource,
        *,
        model: str | None = None,
        recipe: RecipeName | None = None,
        members: Sequence[str] = (),
        max_epochs: int | None = None,
        search: Mapping[str, Any] = {},
    ) -> "StudyDefinition":
        """Read a study file and check it, with some of its settings replaced.

        Args:
            study: a name in ./studies or in the package, a path, or the file as it was read.
            model: a model to use instead of the file's, with the space of the model's name. The study is then called
                `<study>-<model>`, and the file's enqueued configurations, which are of its own model, are left out.
                A model that is fitted ignores the file's training settings, and its defaults are tried first.
            recipe: a recipe to use instead of the file's, which is `shared` where it names none. The study's name then
                ends with the recipe's, and the file's enqueued configurations are left out.
            members: the members of a combination, instead of the file's.
            max_epochs: the number of epochs at most, instead of the file's.
            search: search settings that replace the file's key by key.

        Raises:
            ConfigError: the file breaks a rule, or `max_epochs` is given for a model that has no epochs.
        """
        source = study if isinstance(study, StudySource) else StudySource.read(study)
        path = source.path
        train = source.section("train")
        searched = source.section("search")
        name, content = _with_replacements(source, model, recipe, members)
        # Unless the file enqueues other configurations, the defaults come first: of a neural model under the recipe
        # `shared`, of a fitted one where it is not the file's own.
        if is_fitted(content.get("model")):
            begins_with_defaults = content.get("model") != source.content.get("model")
        else:
            begins_with_defaults = content["recipe"] == "shared"
        if begins_with_defaults and not content.get("enqueue"):
            definition = cls.from_mapping(name, content, str(path))
            content["enqueue"] = [defaults_first(definition)]
        if max_epochs is not None:
            if is_fitted(content.get("model")):
                raise ConfigError(
                    f"--epochs: {content['model']} is fitted at once and has no epochs."
                )
            content["train"] = {**train, "max_epochs": max_epochs}
        content["search"] = overridden(searched, search)
        definition = cls.from_mapping(name, content, str(path))
        if definition.is_given:
            raise ConfigError(f"{path}: given is for studies of runs, which have no file.")
        return definition

    @classmethod
    def from_stored(
        cls, name: str, content: Mapping[str, Any], stored_space: Mapping[str, Any] | None = None
    ) -> "StudyDefinition":
        """Read a definition that `to_mapping` of this or an earlier version wrote, its space already complete.

        Args:
            name: the name of the study.
            content: what was stored.
            stored_space: the part `space` of the fingerprint that was stored with it, if one was. Defaults that were
                others then are fixed in the space.
        """
        definition = cls.from_mapping(name, content, f"stored study {name}", is_whole=True)
        if stored_space is None:
            return definition
        space = with_earlier_defaults(definition.space, definition.model, stored_space)
        return replace(definition, space=space)

    @classmethod
    def from_mapping(
        cls, name: str, content: Mapping[str, Any], place: str, *, is_whole: bool = False
    ) -> "StudyDefinition":
        """Check the content of a study file, and make a definition of it.

        Args:
            name: the name of the study.
            content: the content of the file.
            place: the file or the stored study, for messages.
            is_whole: whether the space was completed by the recipe before, as that of a stored study was.

        Raises:
            ConfigError: the message names the first rule that the file, its space or an enqueued configuration breaks.
        """
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{place}: a study's name has only letters, digits, '.', '_' and '-', got {name!r}."
            )
        file = parse(StudyFile, with_published(modernized(content)), place)
        if file.model not in MODELS:
            raise ConfigError(
                f"{place}: unknown model {file.model!r}. {known_names(file.model, MODELS)}"
            )
        space = _space(file, place)
        if not is_whole and not is_fitted(file.model):
            space = recipes.complete(space, file.recipe, config_classes(file.model))
        data = data_config(file.data, f"{place}: data")
        _check_members(file, place)
        if file.train and is_fitted(file.model):
            raise ConfigError(
                f"{place}: train: {file.model} is fitted at once and has no training settings."
            )
        definition = cls(
            name=name,
            model=file.model,
            space=space,
            data=data,
            objective=file.objective,
            search=file.search,
            enqueue=file.enqueue,
            recipe=file.recipe,
            is_given=file.given,
            members=file.members,
        )
        if is_whole:
            check_stored_space(space, definition.configs)
        else:
            check_space(space, definition.configs)
        for index in range(len(file.enqueue)):
            definition.enqueued_params(index)  # raises where a configuration is not in the space
        check_searched(space, file.search.sampler, place)
        return definition

    @property
    def configs(self) -> dict[str, type[Settings]]:
        """The class of settings for each group of the space, `model` and `train`."""
        return config_classes(self.model)

    @property
    def member_models(self) -> list[tuple[str, Mapping[str, Value]]]:
        """The name and the settings of each model that a combination is made of."""
        return [
            (member.model, {**EARLIER.get(member.model, {}), **member.settings})
            for member in self.settled_members
        ]

    @property
    def settled_members(self) -> list[Member]:
        """The members that are resolved to trials, which are all of them after `members.settle_members`."""
        return [member for member in self.members if isinstance(member, Member)]

    @property
    def is_fitted(self) -> bool:
        """Whether the study's model is fitted at once instead of trained in epochs."""
        return is_fitted(self.model)

    @property
    def train(self) -> TrainConfig | FitConfig:
        """The training settings that the space fixes, with defaults for all others, including those it searches."""
        if self.is_fitted:
            return FitConfig()
        fixed = nest(self.space.fixed).get("train", {})
        return parse(TrainConfig, fixed, self.space.place)

    def enqueued_params(self, index: int) -> dict[str, Value]:
        """Return the free parameters of an enqueued configuration by dotted name; none of one that is given whole.

        Raises:
            ConfigError: a name is unknown, or a value is outside the space or has no effect next to the others.
        """
        if self.enqueue[index].whole:
            return self._whole(index)[1] or {}
        return self.space.fill(self.enqueue[index].values, f"study {self.name}: enqueue[{index}]")

    def given_whole(self, index: int) -> dict[str, Value] | None:
        """Return an enqueued whole configuration by dotted name; None where it is a point of the space or not whole."""
        if not self.enqueue[index].whole or self._whole(index)[1] is not None:
            return None
        return self._whole(index)[0]

    def _whole(self, index: int) -> tuple[dict[str, Value], dict[str, Value] | None]:
        """Return an enqueued whole configuration, and its free parameters; None where it lies outside the space."""
        place = f"study {self.name}: enqueue[{index}]"
        fixed = self.space.fixed
        length = {name: fixed[name] for name in fixed if name.removeprefix("train.") in LENGTH}
        whole = self.complete({**length, **self.enqueue[index].values}, place)
        point = self.space.point(whole)
        if point is not None and self.complete({**fixed, **point}, place) != whole:
            point = None
        return whole, point

    def of_runs(self) -> "StudyDefinition":
        """Return the definition of this study's study of runs, with its data, model, protocol, epochs and seed.

        A study of runs stores trainings outside the search, such as those of `blade-tune confirm`. Its trials are
        not proposed but given, each a whole configuration and a seed (`trial_record.Given`), and none is pruned.
        """
        fixed = self.space.fixed
        train = {name: value for name, value in fixed.items() if name.startswith("train.")}
        no_pruner = PrunerConfig(kind="none")
        return replace(
            self,
            name=f"{self.name}{OF_RUNS}",
            space=Space(train, {}, self.space.place),
            search=SearchConfig(
                trials=1, sampler="random", pruner=no_pruner, seed=self.search.seed
            ),
            enqueue=(),
            is_given=True,
        )

    def complete(self, values: Mapping[str, Any], place: str) -> dict[str, Value]:
        """Complete a configuration with the defaults of all settings that it leaves out.

        Args:
            values: some settings by dotted name.
            place: where the values come from, for messages.

        Returns:
            Every setting of model and training by dotted name, in the type of its field.

        Raises:
            ConfigError: a name is unknown, or a value breaks a rule of the settings.
        """
        nested = nest(values)
        if unknown := set(nested) - set(self.configs):
            raise ConfigError(
                f"{place}: unknown group {min(unknown)}. {guess(min(unknown), self.configs)}"
            )
        filled = {}
        for group, config in self.configs.items():
            settings = parse(config, nested.get(group, {}), f"{place}: {group}")
            filled[group] = settings.model_dump(mode="json")
        return flatten(filled)

    def to_mapping(self) -> dict[str, Any]:
        """Return the study in the form of a study file with its space written out, as `from_stored` reads it."""
        members = [
            member if isinstance(member, str) else member.model_dump(mode="json")
            for member in self.members
        ]
        return {
            "model": self.model,
            "recipe": self.recipe,
            "space": self.space.to_mapping(),
            "data": self.data.model_dump(mode="json"),
            "objective": self.objective.model_dump(mode="json"),
            "search": self.search.model_dump(mode="json"),
            "enqueue": [entry.model_dump(mode="json") for entry in self.enqueue],
            "given": self.is_given,
            "members": members,
        }


def _with_replacements(
    source: StudySource, model: str | None, recipe: RecipeName | None, members: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return the name and the content of a study file with its model, recipe or members replaced.

    The arguments are those of `StudyDefinition.load`.
    """
    name = source.path.stem
    content = dict(source.content)
    if model is not None and model != content.get("model"):
        name = f"{name}-{model}"
        content |= {"model": model, "space": model, "enqueue": [], "members": members}
        if is_fitted(model):
            content["train"] = {}
    elif members:
        content["members"] = members
    recipe_of_file = content.setdefault("recipe", recipes.OF_FILES)
    if recipe is not None and recipe != recipe_of_file:
        name = f"{name}-{recipe}"
        content |= {"recipe": recipe, "enqueue": []}
    return name, content


def _check_members(file: StudyFile, place: str) -> None:
    """Refuse a combination with too few or too many members, and members of any other model."""
    if file.model != COMBINATION and file.members:
        raise ConfigError(
            f"{place}: members are those of the model {COMBINATION}, and the model is {file.model}."
        )
    if file.model == COMBINATION and not 2 <= len(file.members) <= MOST_MEMBERS:
        raise ConfigError(
            f"{place}: a combination has 2 to {MOST_MEMBERS} members, got {len(file.members)}; name studies that were "
            "run on the same data, --members STUDY,STUDY or STUDY:TRIAL."
        )


def max_length(definition: StudyDefinition, values: Mapping[str, Value]) -> int:
    """Return the length of a configuration's window; the model's default where the configuration does not set it."""
    default = definition.configs["model"].model_fields["max_length"].default
    return int(values.get("model.max_length", default))


def is_fitted(model: Any) -> bool:
    """Whether a model is fitted at once instead of trained in epochs.

    Args:
        model: the name of a model as a study file has it, not checked yet; false for an unknown one.
    """
    if not isinstance(model, str) or model not in MODELS:
        return False
    return not issubclass(config_class(model), NeuralConfig)


def defaults_first(definition: StudyDefinition) -> dict[str, Any]:
    """Return an entry for `enqueue` by which the defaults of a model and its recipe are tried first.

    Defaults that do not lie in the study's space are left out.
    """
    preferred = {} if definition.is_fitted else recipes.values(definition.recipe)
    defaults = definition.space.defaults(definition.configs, preferred)
    return {"tag": "default", **nest(defaults)}


def config_classes(model: str) -> dict[str, type[Settings]]:
    """Return the class of settings for each group of a model's spaces, `model` and `train`."""
    return {
        "model": config_class(model),
        "train": FitConfig if is_fitted(model) else TrainConfig,
    }


def _space(file: StudyFile, place: str) -> Space:
    """Return the search space of a study file, with the settings of its section `train` fixed.

    The file has the space written out, its name, or its path, from the working folder or from the file's own.
    """
    if isinstance(file.space, dict):
        space = Space.from_mapping(file.space, f"{place}: space")
    else:
        name = file.space or file.model
        path = Path(place).parent / name
        if not path.is_file():
            path = find("search_spaces", name)
        space = load_space(path, file.recipe, file.train)
    # The space of combinations has a weight for the most members that there may be.
    if file.model == COMBINATION:
        unused = range(len(file.members) + 1, MOST_MEMBERS + 1)
        space = space.without([f"model.weight_{number}" for number in unused])
    train = {f"train.{key}": value for key, value in file.train.items()}
    return space.with_fixed(train, f"{place}: train")

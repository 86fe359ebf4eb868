"""What a study is: its file, checked as a whole before anything runs; loads no torch until a model is named."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from blade_tune.config import Settings, flatten, guess, parse
from blade_tune.data.config import DataConfig, data_config
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS
from blade_tune.parameter import Value
from blade_tune.registry import load
from blade_tune.space import Space, nest
from blade_tune.spec import recipes
from blade_tune.spec.catalog import StudySource, find
from blade_tune.spec.old_words import modernized
from blade_tune.spec.recipes import RecipeName
from blade_tune.spec.space_files import load_space
from blade_tune.training.config import EvaluationConfig, FitConfig, TrainConfig

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

OF_RUNS = ".runs"  # the end of the name of a study of runs
COMBINATION, MOST_MEMBERS = "combination", 5  # the model made of other studies' trials

SamplerName = Literal["tpe", "random", "grid", "qmc", "gp"]
PrunerName = Literal["percentile", "median", "asha", "hyperband", "none"]
TrialCount = Annotated[int, Field(ge=1)]
TRIALS = "scored trials in all"


class PrunerConfig(Settings):
    """When a weak trial ends early, by validation figures at the same epoch."""

    kind: PrunerName = Field("percentile", description="rule")
    percentile: float = Field(75.0, gt=0.0, lt=100.0, description="percentile: the share of better trials that is kept")
    startup_trials: int = Field(10, ge=0, description="percentile, median: completed trials before any is pruned")
    warmup: float = Field(0.2, ge=0.0, lt=1.0, description="share of max_epochs in which no trial is pruned")
    audit: float = Field(
        0.05,
        ge=0.0,
        le=1.0,
        description="share of the trials to be pruned that is finished anyway, to see what is lost",
    )
    reduction_factor: int = Field(3, ge=2, description="asha, hyperband: one in so many goes on at each rung")


class SearchConfig(Settings):
    """How the space is searched."""

    trials: TrialCount = Field(50, description=f"{TRIALS}; --trials wins")
    sampler: SamplerName = Field("tpe", description="what proposes configurations")
    pruner: PrunerConfig = PrunerConfig()
    seed: int = Field(2026, ge=0, description="study seed: every sampler and training seed comes from it")


class Enqueued(Settings):
    """A configuration tried before any proposal; parameters it leaves out are sampled."""

    model: dict[str, Value] = Field({}, description="model parameters")
    train: dict[str, Value] = Field({}, description="training parameters")
    tag: str = Field("enqueued", description="shown beside the trial")
    metadata: dict[str, Any] = Field({}, description="kept with the trial, used for nothing")


class Member(Settings):
    """A trained model that a combination is made of: a trial of another study."""

    study: str = Field(description="the study")
    trial: int = Field(ge=0, description="the trial's number there")
    model: str = Field(description="the model")
    settings: dict[str, Value] = Field(description="its settings")
    digest: str = Field(description="SHA-256 of its weights")


class StudyFile(Settings):
    """The keys of a study file."""

    model: str
    recipe: RecipeName = Field("published", description="what holds where neither space nor train says; see recipes")
    space: str | dict[str, dict[str, Any]] | None = Field(None, description="name, path, or the space itself")
    data: dict[str, Any]
    objective: EvaluationConfig = EvaluationConfig()
    train: dict[str, Value] = Field({}, description="training settings fixed for every trial")
    search: SearchConfig = SearchConfig()
    enqueue: tuple[Enqueued, ...] = ()
    members: tuple[Member | str, ...] = Field((), description="combination: studies, or STUDY:TRIAL")
    run: dict[str, Any] = Field({}, description="settings of a run; no part of the study itself")
    given: bool = Field(False, description="nothing is proposed, trials are put in; for studies of runs only")


@dataclass(frozen=True)
class StudyDefinition:
    """A study file with its space and data settings, all of it checked."""

    name: str
    model: str
    space: Space
    data: DataConfig
    objective: EvaluationConfig
    search: SearchConfig
    enqueue: tuple[Enqueued, ...]
    recipe: RecipeName = "published"
    is_given: bool = False  # trials are put in, none is proposed: a study of runs
    members: tuple[Member | str, ...] = ()  # of a combination; a name until `members.settle_members` found it
    home: Path | None = field(default=None, compare=False)  # a stored study's folder, where members' weights are

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
        """Read a study by name or path.

        Args:
            study: a name in ./studies or in the package, a path, or the file as it was read.
            model: another model than the file's, with the space of its own name; the study is then called
                `<study>-<model>` and nothing is enqueued, for what the file enqueues is of its own model. One that is
                fitted has no use for the file's training settings, and its defaults are tried first.
            recipe: another than the file's, which is `shared` where it names none; the study's name then ends with it,
                and nothing is enqueued.
            members: of a combination, instead of the file's.
            max_epochs: epochs at most, instead of the file's.
            search: search settings instead of the file's, key by key.

        Raises:
            ConfigError: what the file says breaks a rule, or a model without epochs is given a number of them.
        """
        source = study if isinstance(study, StudySource) else StudySource.read(study)
        path, name = source.path, source.path.stem
        train, searched = source.section("train"), source.section("search")
        content = dict(source.content)
        if is_other := model is not None and model != content.get("model"):
            content |= {"model": model, "space": model, "enqueue": [], "members": members}
            name = f"{name}-{model}"
            content |= {"train": {}} if is_fitted(model) else {}
        elif members:
            content["members"] = members
        said = content.setdefault("recipe", recipes.OF_FILES)
        if recipe is not None and recipe != said:
            content |= {"recipe": recipe, "enqueue": []}
            name = f"{name}-{recipe}"
        begins = is_other if is_fitted(content.get("model")) else content["recipe"] == "shared"
        if begins and not content.get("enqueue"):
            content["enqueue"] = [defaults_first(cls.from_mapping(name, content, str(path)))]
        if max_epochs is not None:
            if is_fitted(content.get("model")):
                raise ConfigError(f"--epochs: {content['model']} is fitted at once and has no epochs.")
            content["train"] = {**train, "max_epochs": max_epochs}
        content["search"] = _overridden(searched, search)
        definition = cls.from_mapping(name, content, str(path))
        if definition.is_given:
            raise ConfigError(f"{path}: given is for studies of runs, which have no file.")
        return definition

    @classmethod
    def from_stored(cls, name: str, content: Mapping[str, Any]) -> "StudyDefinition":
        """A study as `to_mapping` gave it, now or in an earlier version; its space is whole."""
        return cls.from_mapping(name, content, f"stored study {name}", is_whole=True)

    @classmethod
    def from_mapping(
        cls, name: str, content: Mapping[str, Any], place: str, *, is_whole: bool = False
    ) -> "StudyDefinition":
        """Check a study in the form of its file.

        Args:
            name: of the study.
            content: of the file.
            place: where it stands, for errors.
            is_whole: whether the space has all that its recipe says already.

        Raises:
            ConfigError: with the first law that the file, its space or an enqueued configuration breaks.
        """
        if not NAME.fullmatch(name):
            raise ConfigError(f"{place}: a study's name has only letters, digits, '.', '_' and '-', got {name!r}.")
        file = parse(StudyFile, modernized(content), place)
        if file.model not in MODELS:
            raise ConfigError(f"{place}: unknown model {file.model!r}. {guess(file.model, MODELS)}")
        space = _space(file, place)
        if not is_whole and not is_fitted(file.model):
            space = recipes.complete(space, file.recipe, config_classes(file.model))
        data = data_config(file.data, f"{place}: data")
        _check_members(file, place)
        if file.train and is_fitted(file.model):
            raise ConfigError(f"{place}: train: {file.model} is fitted at once and has no training settings.")
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
            space.check_stored(definition.configs)
        else:
            space.check(definition.configs)
        for index in range(len(file.enqueue)):
            definition.enqueued_params(index)
        for key in ("max_epochs", "eval_every"):
            if f"train.{key}" in space.free:
                raise ConfigError(f"{place}: train.{key} cannot be searched: pruning compares trials at equal epochs.")
        if file.search.sampler == "grid" and space.count() is None:
            raise ConfigError(f"{place}: the grid sampler needs a step for every float of {space.place}.")
        return definition

    @property
    def configs(self) -> dict[str, type[Settings]]:
        """The settings classes that the groups of the space fill."""
        return config_classes(self.model)

    @property
    def member_models(self) -> list[tuple[str, Mapping[str, Value]]]:
        """Name and settings of each model that a combination is made of."""
        return [(member.model, member.settings) for member in self.settled_members]

    @property
    def settled_members(self) -> list[Member]:
        """The members, all of which are found."""
        return [member for member in self.members if isinstance(member, Member)]

    @property
    def is_fitted(self) -> bool:
        """Whether its model is fitted at once, not trained in epochs."""
        return is_fitted(self.model)

    @property
    def train(self) -> TrainConfig | FitConfig:
        """The training settings of a trial as far as the space fixes them; defaults elsewhere."""
        if self.is_fitted:
            return FitConfig()
        return parse(TrainConfig, nest(self.space.fixed).get("train", {}), self.space.place)

    def enqueued_params(self, index: int) -> dict[str, Value]:
        """The free parameters of an enqueued configuration by dotted name, checked against the space."""
        entry = self.enqueue[index]
        given = {f"{group}.{key}": v for group in ("model", "train") for key, v in getattr(entry, group).items()}
        return self.space.fill(given, f"study {self.name}: enqueue[{index}]")

    def of_runs(self) -> "StudyDefinition":
        """The study of runs beside this one, of the same data, model, protocol, epochs and seed.

        Its trials are not sought but given, each a whole configuration and a seed (`trials.Given`); none is pruned.
        """
        train = {name: value for name, value in self.space.fixed.items() if name.startswith("train.")}
        search = SearchConfig(trials=1, sampler="random", pruner=PrunerConfig(kind="none"), seed=self.search.seed)
        space = Space(train, {}, self.space.place)
        return replace(self, name=f"{self.name}{OF_RUNS}", space=space, search=search, enqueue=(), is_given=True)

    def complete(self, values: Mapping[str, Any], place: str) -> dict[str, Value]:
        """A whole configuration by dotted name, defaults included, in the types of its settings.

        Raises:
            ConfigError: an unknown name, or a value that breaks a rule of the settings.
        """
        nested = nest(values)
        if unknown := set(nested) - set(self.configs):
            raise ConfigError(f"{place}: unknown group {min(unknown)}. {guess(min(unknown), self.configs)}")
        filled = {
            group: parse(config, nested.get(group, {}), f"{place}: {group}") for group, config in self.configs.items()
        }
        return flatten({group: settings.model_dump(mode="json") for group, settings in filled.items()})

    def to_mapping(self) -> dict[str, Any]:
        """The study in the form of its file, its space written out; `from_mapping` reads it back."""
        return {
            "model": self.model,
            "recipe": self.recipe,
            "space": self.space.to_mapping(),
            "data": self.data.model_dump(mode="json"),
            "objective": self.objective.model_dump(mode="json"),
            "search": self.search.model_dump(mode="json"),
            "enqueue": [entry.model_dump(mode="json") for entry in self.enqueue],
            "given": self.is_given,
            "members": [m if isinstance(m, str) else m.model_dump(mode="json") for m in self.members],
        }


def _check_members(file: StudyFile, place: str) -> None:
    """A combination has members, no other model has."""
    if file.model != COMBINATION and file.members:
        raise ConfigError(f"{place}: members are those of the model {COMBINATION}, and the model is {file.model}.")
    if file.model == COMBINATION and not 2 <= len(file.members) <= MOST_MEMBERS:
        raise ConfigError(
            f"{place}: a combination has 2 to {MOST_MEMBERS} members, got {len(file.members)}; name studies that were "
            "run on the same data, --members STUDY,STUDY or STUDY:TRIAL."
        )


def max_length(definition: StudyDefinition, values: Mapping[str, Value]) -> int:
    """The window length of a configuration."""
    default = definition.configs["model"].model_fields["max_length"].default
    return int(values.get("model.max_length", default))


def is_fitted(model: Any) -> bool:
    """Whether a model is fitted at once; one that is not known is not, nor is what names none."""
    if not isinstance(model, str) or model not in MODELS:
        return False
    from blade_tune.models.fitted import FittedRecommender  # torch and scipy, which naming a model loads

    return issubclass(load(MODELS, "model", model), FittedRecommender)


def defaults_first(definition: StudyDefinition) -> dict[str, Any]:
    """What to enqueue so that a model's and its recipe's defaults are tried first, as far as they lie in the space."""
    preferred = {} if definition.is_fitted else recipes.values(definition.recipe)
    return {"tag": "default", **nest(definition.space.defaults(definition.configs, preferred))}


def config_classes(model: str) -> dict[str, type[Settings]]:
    """The settings classes that the groups of a model's spaces fill."""
    return {
        "model": load(MODELS, "model", model).Config,
        "train": FitConfig if is_fitted(model) else TrainConfig,
    }


def _overridden(file: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`file` with what is given in its place; mappings in both are merged."""
    merged = dict(file)
    for key, value in given.items():
        both = isinstance(value, Mapping) and isinstance(file.get(key), Mapping)
        merged[key] = _overridden(file[key], value) if both else value
    return merged


def _space(file: StudyFile, place: str) -> Space:
    """The study's space: by name, by path (also from the study file), or written out; then what `train` fixes."""
    if isinstance(file.space, dict):
        space = Space.from_mapping(file.space, f"{place}: space")
    else:
        name = file.space or file.model
        beside = Path(place).parent / name
        space = load_space(beside if beside.is_file() else find("search_spaces", name), file.recipe, file.train)
    if file.model == COMBINATION:
        space = space.without([f"model.weight_{place}" for place in range(len(file.members) + 1, MOST_MEMBERS + 1)])
    return space.with_fixed({f"train.{key}": value for key, value in file.train.items()}, f"{place}: train")

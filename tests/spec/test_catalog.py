"""The shipped spaces and studies: they load, fit their models, and are what the model specification says."""

from typing import Any

import pytest

from blade_tune.config import Settings, parse, read_yaml
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS
from blade_tune.parameter import Free
from blade_tune.registry import load
from blade_tune.space import Space, nest
from blade_tune.spec.catalog import available, find
from blade_tune.spec.definition import StudyDefinition, config_classes, is_fitted
from blade_tune.spec.recipes import RECIPES, SHARED, RecipeName, complete
from blade_tune.spec.space_check import check_space
from blade_tune.spec.space_files import load_space
from blade_tune.training.config import TrainConfig

CARD = {  # the parameters that BLADE's paper varies
    "model.num_blocks": {"choice": [2, 3]},
    "model.num_heads": {"choice": [2, 4, 8]},
    "model.dropout": {"choice": [0.2, 0.3, 0.4, 0.5]},
    "model.num_experts": {"choice": [4, 6, 8]},
    "model.alpha": {"float": [0.0, 1.0], "step": 0.1},
    "model.lambda_": {"float": [0.001, 1.0], "log": True},
    "model.augmentation": {"choice": ["add", "mask", "flip"]},
    "model.rho": {"float": [0.1, 0.9], "step": 0.1},
}
SETS = {  # the two readings of behavior sets
    "model.set_softmax": {"choice": ["all", "present"]},
    "model.factor_init": {"choice": ["xavier", "ones"]},
}
ROOM = {"float": [0.0, 0.8], "step": 0.1}  # for dropout, the same for every model of a comparison
TRAIN = {  # what a comparison searches of the training of any model
    "train.learning_rate": {"float": [3e-4, 3e-3], "log": True},
    "train.batch_size": {"choice": [64, 128, 256, 512, 1024]},
    "train.weight_decay": {"choice": [0.0, 1e-6, 1e-5, 1e-4]},
}
CLASSICAL = [
    "popularity",
    "item_knn",
    "sequential_rules",
    "ease",
    "pure_svd",
    "ials",
    "combination",
]
SPACES: dict[str, dict[str, Any]] = {
    "blade": {**CARD, **SETS},
    "blade-extended": {
        **CARD,
        **SETS,
        "model.dropout": ROOM,
        "model.mask_exponent": {
            "choice": [0.25, 0.5, 0.75, 1.0],
            "when": {"model.augmentation": ["mask"]},
        },
        "model.tau": {"float": [0.01, 1.0], "log": True},
        "model.similarity": {"choice": ["dot", "cosine"]},
        "model.fusion": {"choice": ["sum", "concat", "gate"]},
        **TRAIN,
    },
    "blade-any": {
        **CARD,
        **SETS,
        "model.num_blocks": {"choice": [1, 2]},
        "model.num_heads": {"choice": [2, 4]},
        "model.dropout": {"choice": [0.1, 0.3, 0.5]},
        "model.num_experts": {"choice": [2, 4, 8]},
        "train.learning_rate": {"float": [1e-3, 1e-2], "log": True},
        "train.batch_size": {"choice": [32, 128, 512]},
    },
    "blade-resolution": {
        "model.set_softmax": {"choice": ["all", "present"]},
        "model.factor_init": {"choice": ["xavier", "ones"], "when": {"model.set_softmax": ["all"]}},
        "model.init": {"choice": ["xavier", "normal"]},
        "model.ffn_multiple": {"choice": [1, 4]},
        "model.cross_residual": {"choice": ["query", "fused"]},
        "model.contrast_on": {"choice": ["user", "fused"]},
    },
    "blade_released": {
        **CARD,
        "model.augmentation": {"choice": ["none", "add", "mask", "flip"]},
        "model.rho": {
            "float": [0.1, 0.9],
            "step": 0.1,
            "when": {"model.augmentation": ["add", "mask", "flip"]},
        },
        "model.early_num_blocks": {"choice": [2, 3]},
        "model.early_num_heads": {"choice": [1, 2, 4, 8]},
        "model.dropout": ROOM,
        "model.early_dropout": ROOM,
        "model.fusion": {"choice": ["sum", "concat", "gate"]},
        "model.tau": {"float": [0.01, 1.0], "log": True},
        **TRAIN,
    },
}
SMALL_BATCHES = {**TRAIN, "train.batch_size": {"choice": [32, 64, 128, 256, 512]}}
DROPOUT = {"model.dropout": ROOM}
SELF_ATTENTION = {
    "model.num_blocks": {"choice": [1, 2, 3]},
    "model.num_heads": {"choice": [1, 2, 4, 8]},
    "model.ffn_multiple": {"choice": [1, 4]},
}
SHARES = {"float": [0.1, 0.9], "step": 0.1}
SPACES |= {
    "sasrec": {**SELF_ATTENTION, "model.norm": {"choice": ["pre", "post"]}, **DROPOUT, **TRAIN},
    "cl4srec": {
        **SELF_ATTENTION,
        **DROPOUT,
        "model.lambda_": {"float": [0.01, 1.0], "log": True},
        "model.tau": {"float": [0.05, 32.0], "log": True},
        "model.similarity": {"choice": ["plain_dot", "cosine"]},
        "model.crop_share": SHARES,
        "model.mask_share": SHARES,
        "model.reorder_share": SHARES,
        **TRAIN,
    },
}
SPACES |= {
    "mb_str": {
        "model.num_blocks": {"choice": [1, 2, 3]},
        "model.num_heads": {"choice": [2, 4]},
        **DROPOUT,
        "model.mask_prob": {"choice": [0.2, 0.3, 0.4, 0.5]},
        **SMALL_BATCHES,
    },
}
ROUTED = {
    "model.routing_rounds": {"choice": [2, 3]},
    "model.capsule_size": {"choice": [4, 8, 16]},
    **DROPOUT,
    "model.target_steps": {"choice": [10, 50]},
    "model.auxiliary_weight": {"choice": [0.0, 0.03, 0.1, 0.3, 1.0]},
    **SMALL_BATCHES,
}
SPACES["mbht"] = {
    "model.num_blocks": {"choice": [1, 2]},
    "model.num_heads": {"choice": [2, 4]},
    **DROPOUT,
    "model.mask_prob": {"choice": [0.2, 0.3, 0.5]},
    "model.hyper_len": {"choice": [4, 6, 10]},
    "model.scales": {"choice": ["10-2-5", "10-5-10", "5-2-10"]},
    "model.window": {"choice": [10, 20]},
    **SMALL_BATCHES,
}
DROPOUTS = {"choice": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}
SPACES["eidp"] = {
    "model.num_blocks": {"choice": [2, 3]},
    "model.num_heads": {"choice": [1, 2, 4]},
    **DROPOUT,
    "model.dcba_dropout": DROPOUTS,
    "model.cba_dropout": DROPOUTS,
    "model.prob_exact": {"choice": [True, False]},
    "model.sampling_factor": {"choice": [8, 12], "when": {"model.prob_exact": [False]}},
    **TRAIN,
    "train.batch_size": {"choice": [64, 128, 256, 512, 1280]},
}
SPACES |= {"dymus": ROUTED, "dymus_plus": ROUTED}
DEFAULTS = {  # of BLADE, by the model specification
    "embedding_size": 32,
    "max_length": 50,
    "read_sets": True,
    "loss": "bce",
    "num_blocks": 2,
    "num_heads": 2,
    "dropout": 0.3,
    "num_experts": 4,
    "alpha": 0.5,
    "lambda_": 0.1,
    "rho": 0.5,
    "augmentation": "mask",
    "mask_exponent": 0.5,
    "tau": 0.3,
    "similarity": "dot",
    "fusion": "sum",
    "set_softmax": "all",
    "factor_init": "xavier",
    "init": "xavier",
    "ffn_multiple": 1,
    "cross_residual": "query",
    "contrast_on": "user",
    "richness_weight": True,
    "layer_norm_eps": 1e-6,
    "num_negatives": 256,
    "auxiliary_weight": 1.0,
    "item_init": "random",
    "item_std": 0.06,
    "block_init": "random",
}
PUBLISHED = {
    name: dict(
        zip(("num_blocks", "num_heads", "dropout", "num_experts", *rest), values, strict=True)
    )
    for rest in [
        (
            "early_num_blocks",
            "early_num_heads",
            "early_dropout",
            "fusion",
            "alpha",
            "lambda_",
            "tau",
            "augmentation",
        )
    ]
    for name, values in {
        "kuaisar-released": (2, 8, 0.2, 6, 3, 1, 0.2, "gate", 0.6, 0.1, 0.01, "none"),
        "qk-article-released": (2, 4, 0.2, 4, 2, 8, 0.2, "sum", 0.7, 0.1, 0.01, "none"),
        "qk-video-released": (3, 8, 0.3, 4, 2, 2, 0.2, "sum", 0.6, 0.001, 0.01, "none"),
    }.items()
}
PUBLISHED_SEEDS = {"kuaisar-released": 2025, "qk-article-released": 2025, "qk-video-released": 2023}


OWN = ("demo", "kuaisar", "qk-article", "qk-video", "qk-video-resolution")


BLOCK = "shared"  # the space that others include
WITHOUT_BLOCK = ("blade-resolution",)  # it has one question, of BLADE as published
INCLUDING = [name for name in SPACES if name not in WITHOUT_BLOCK]


SHIPPED = [name for name in available("search_spaces") if name != BLOCK]


def test_every_model_has_a_space_of_its_name():
    """So that a study of any model may leave its space out; spaces of the specification are all there."""
    assert set(SHIPPED) >= {*MODELS, *SPACES, *CLASSICAL}


def test_every_shipped_study_is_known_here():
    """A new study is added to these tests too."""
    assert set(available("studies")) == {*OWN, *PUBLISHED}


@pytest.mark.parametrize("name", SPACES)
def test_a_shipped_space_is_the_specification_s(name: str):
    """As published, each space frees exactly the parameters of the specification, in their ranges, and fixes none."""
    space = load_space(find("search_spaces", name), "published")
    assert {parameter: free.canonical() for parameter, free in space.free.items()} == SPACES[name]
    assert space.fixed == {}


def free_in(groups: Any, place: str) -> dict[str, Free]:
    return dict(Space.from_mapping(groups, place).free)


@pytest.mark.parametrize("name", INCLUDING)
def test_a_neural_space_has_the_shared_block_once(name: str):
    """As shared, a space is its own parameters and the block, whose like stands nowhere in its file, and no more."""
    file = read_yaml(find("search_spaces", name))
    file.pop("published")
    assert file.pop("include") == BLOCK
    own, block = free_in(file, "own"), free_in(read_yaml(find("search_spaces", BLOCK)), "block")
    same = {"model.auxiliary_weight"} if name.startswith("dymus") else set()  # which it takes to 0
    assert own.keys() & block.keys() == same
    space = load_space(find("search_spaces", name), "shared")
    assert space.free == block | own
    assert space.fixed == {}


@pytest.mark.parametrize("name", [*CLASSICAL, *WITHOUT_BLOCK])
def test_other_spaces_are_the_same_under_each_recipe(name: str):
    """What includes nothing has nothing to differ by."""
    shared, published = (load_space(find("search_spaces", name), recipe) for recipe in RECIPES)
    assert shared.canonical() == published.canonical()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_space_fits_its_model(name: str, recipe: RecipeName):
    """Every name, end and combination of a shipped space is one that its model takes, with what the recipe adds."""
    model = name.partition("-")[0]
    space, configs = load_space(find("search_spaces", name), recipe), config_classes(model)
    check_space(space if is_fitted(model) else complete(space, recipe, configs), configs)


@pytest.mark.parametrize("name", [name for name in MODELS if not is_fitted(name)])
def test_the_shared_recipe_fits_every_neural_model(name: str):
    """Together its settings are ones that a model takes; what a model refuses it refuses with the reason."""
    model: type[Settings] = config_classes(name)["model"]
    refused = getattr(model, "refused", {})
    settings = nest(SHARED)
    parse(TrainConfig, settings["train"], "shared")
    parse(
        model,
        {field: value for field, value in settings["model"].items() if field not in refused},
        "shared",
    )
    for field in refused.keys() & settings["model"].keys():
        with pytest.raises(ConfigError, match=f"{field} must be .*: {refused[field]}"):
            parse(model, {field: settings["model"][field]}, "shared")


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_space_holds_the_defaults(name: str):
    """What a model without epochs is by default lies in its space, so that a search can try it first."""
    space, configs = load_space(find("search_spaces", name)), config_classes(name)
    assert set(space.defaults(configs)) == {
        name for name, free in space.free.items() if not free.when
    }


def test_the_resolution_study_is_a_grid_of_48():
    """What the paper leaves ambiguous has 48 answers, three of sets and two of each other; its study tries all."""
    assert load_space(find("search_spaces", "blade-resolution")).count() == 3 * 2**4
    study = StudyDefinition.load("qk-video-resolution")
    assert (study.search.trials, study.search.sampler, study.search.pruner.kind) == (
        48,
        "grid",
        "none",
    )
    assert study.data == StudyDefinition.load("qk-video").data


def test_defaults_are_the_specification_s():
    """What a space leaves out is what the specification says."""
    blade = load(MODELS, "model", "blade").Config()
    assert blade.model_dump() == DEFAULTS
    train = TrainConfig().model_dump()
    assert (train["learning_rate"], train["batch_size"], train["weight_decay"]) == (1e-3, 1024, 0.0)
    assert (train["max_epochs"], train["eval_every"], train["patience"]) == (300, 5, 10)
    assert (train["early_stop"], train["schedule"]) == ("objective", "constant")


@pytest.mark.parametrize("name", [*OWN, *PUBLISHED])
def test_a_shipped_study_is_whole(name: str):
    """Each study loads and checks, and is the same when it is read back from the form that is stored."""
    study = StudyDefinition.load(name)
    assert study.name == name
    again = StudyDefinition.from_stored(name, study.to_mapping())
    assert again.to_mapping() == study.to_mapping()
    assert again.space.canonical() == study.space.canonical()


@pytest.mark.parametrize("name", [*OWN, *PUBLISHED])
def test_a_shipped_study_loads_under_each_recipe(name: str):
    """That which it does not name is another study of the same data and protocol."""
    first, second = (StudyDefinition.load(name, recipe=recipe) for recipe in RECIPES)
    assert {first.name, second.name} in ({name, f"{name}-published"}, {name, f"{name}-shared"})
    assert (first.data, first.objective, first.search) == (
        second.data,
        second.objective,
        second.search,
    )
    assert first.train.max_epochs == second.train.max_epochs


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_settings_are_enqueued(name: str):
    """A released study tries the setting behind the published table first, and notes its seed."""
    study = StudyDefinition.load(name)
    [entry] = study.enqueue
    assert study.given_whole(0) is None
    assert study.enqueued_params(0) == {
        **{f"model.{field}": value for field, value in PUBLISHED[name].items()},
        "train.learning_rate": 1e-3,
        "train.batch_size": 1024,
        "train.weight_decay": 0.0,
    }
    # The whole of it: rho has no effect
    assert set(study.space.free) - set(study.enqueued_params(0)) == {"model.rho"}
    assert (entry.tag, entry.metadata["seed"]) == ("published", PUBLISHED_SEEDS[name])
    train = study.train
    assert train.schedule == "plateau"
    assert (train.max_epochs, train.eval_every, train.patience) == (500, 5, 20)


@pytest.mark.parametrize("name", ["kuaisar", "qk-article", "qk-video"])
def test_the_data_sets_have_their_behaviors(name: str):
    """Both studies of a data set mean the same data, behaviors in the order of its columns."""
    data = StudyDefinition.load(name).data
    assert data == StudyDefinition.load(f"{name}-released").data
    behaviors = (
        ("read", "like", "share", "favorite", "follow")
        if name == "qk-article"
        else ("click", "like", "share", "follow")
    )
    assert (data.name, data.behaviors, data.auxiliary) == (name, behaviors, behaviors[0])

"""A model or a Config that breaks the contract is refused where it is written, in words that say what is missing."""

from typing import Any

import pytest
import torch
from pydantic import Field
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.models import MODELS, config_class
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import build_model, model_class
from blade_tune.models.item_table import ItemTable
from blade_tune.models.settings.base import ModelConfig, NeuralConfig
from tests.builders import make_catalog, make_model
from tests.contracts.subjects import CATALOG


@pytest.mark.parametrize("name", MODELS)
def test_the_registry_of_settings_has_what_the_model_declares(name: str):
    """Settings are found without the model, and are those that the model takes."""
    assert config_class(name) is model_class(name).Config


def causal_model(leave_out: str = "", **changed: Any) -> type[NeuralRecommender]:
    """Define a causal model of one table, without one of its declarations or with others."""

    def losses(self: NeuralRecommender, _: Batch) -> dict[str, Tensor]:
        return {"next": self.item_vectors().sum()}

    body = {
        "Config": NeuralConfig,
        "reads": "items",
        "told_target_set": False,
        "is_causal": True,
        "encode": lambda self, batch: self.items(batch.items_BL),
        "final_states": lambda self, batch: self.encode(batch)[:, -1],
        "item_vectors": lambda self: self.items.vectors_VD,
        "losses": losses,
        **changed,
    }
    body.pop(leave_out, None)
    return type("Toy", (NeuralRecommender,), body)


def built(
    model: type[NeuralRecommender], items: Any, monkeypatch: pytest.MonkeyPatch
) -> NeuralRecommender:
    """The model with an item table, as the registry's door builds it."""

    def init(self: NeuralRecommender, config: NeuralConfig, catalog: Any) -> None:
        NeuralRecommender.__init__(self, config, catalog)
        self.items = items

    model.__init__ = init  # type: ignore[method-assign]
    monkeypatch.setitem(MODELS, "toy", f"{__name__}:Toy")
    monkeypatch.setitem(globals(), "Toy", model)
    return build_model("toy", {}, CATALOG, "test")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"Config": ModelConfig}, "Config must be a subclass of NeuralConfig"),
        ({"leave_out": "is_causal"}, "is_causal must be True or False"),
        ({"leave_out": "encode"}, "must have a method encode"),
        ({"is_causal": False}, "must have a method encode"),
        ({"leave_out": "encode", "is_causal": False}, "must have a field mask_prob"),
    ],
    ids=str,
)
def test_a_class_without_a_declaration_is_refused(model, words):
    """Defining the class is an error that names the class and the declaration."""
    with pytest.raises(TypeError, match=f"Toy.*{words}"):
        causal_model(**model)


def test_a_class_that_lacks_methods_may_lack_declarations():
    """A base of several models declares what they share."""
    assert causal_model("losses").__abstractmethods__ == {"losses"}


@pytest.mark.parametrize(
    ("model", "items", "words"),
    [
        (
            {"leave_out": "reads"},
            ItemTable(20, 32),
            "reads must be one of nothing, items, behavior_types, sets",
        ),
        (
            {"reads": "labels"},
            ItemTable(20, 32),
            "reads must be one of nothing, items, behavior_types, sets",
        ),
        (
            {"leave_out": "told_target_set"},
            ItemTable(20, 32),
            "told_target_set must be True or False",
        ),
        ({}, torch.nn.Embedding(21, 32), "items must be an ItemTable of all items"),
        ({}, ItemTable(19, 32), "items must be an ItemTable of all items"),
    ],
    ids=str,
)
def test_a_built_model_without_a_declaration_is_refused(model, items, words, monkeypatch):
    """What a constructor may set is checked when the model is built."""
    with pytest.raises(TypeError, match=f"Toy.{words}"):
        built(causal_model(**model), items, monkeypatch)


def test_a_whole_model_is_not_refused(monkeypatch):
    """The toy of these tests with all declarations is built."""
    assert isinstance(
        built(causal_model(), ItemTable(CATALOG.num_items, 32), monkeypatch).items, ItemTable
    )


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (Field(3, ge=1), "must have a description"),
        (Field(3, description="a number"), "must have choices or a bound that includes its end"),
        (
            Field(3, gt=1, description="a number"),
            "must have choices or a bound that includes its end",
        ),
    ],
    ids=["undescribed", "unbounded", "open"],
)
def test_a_field_that_no_test_can_try_is_refused(field, words):
    """A Config field needs a description, and choices or an end that may be tried."""
    with pytest.raises(TypeError, match=f"ToyConfig.width {words}"):
        type(
            "ToyConfig",
            (ModelConfig,),
            {"__annotations__": {"width": int}, "width": field, "__module__": __name__},
        )


def test_registered_models_are_built_through_the_same_door():
    """Every model of the registry passes what a toy is refused for."""
    for name in MODELS:
        make_model(name, make_catalog()).check_declarations()

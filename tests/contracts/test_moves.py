"""What moves a model when its inputs are changed is what its class declares; a model joins by its line in MODELS."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.data.sequences import Windows
from blade_tune.models import MODELS
from blade_tune.models.build import model_class
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.moves import SEED, measure_moves, relative_change, shuffled
from tests.builders import MAX_LENGTH, make_batch, make_model
from tests.contracts.subjects import BATCH, CATALOG, CONFIGS, NEURAL, having
from tests.contracts.test_models import reading

# The behaviors that are more frequent than the other two
FREQUENT_K = torch.tensor([1, 1, 0, 0], dtype=torch.uint8)


class Fixed(Evaluator):
    """An evaluator as far as moves are concerned: of one batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def sample(self, size: int, _: torch.Generator) -> Batch:
        return self.batch.rows(torch.arange(len(self.batch))[:size])


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_moved_by_what_it_declares(name):
    """Emptied sets move no model that reads items or nothing; another told set moves exactly those that are told."""
    model = make_model(name, CATALOG, **reading(name))
    moves = measure_moves(model, Fixed(BATCH.with_final_target_set(FREQUENT_K)))
    assert (moves["sets"] > 0.0) == (model.reads in ("sets", "behavior_types"))
    assert (moves["told"] > 0.0) == model.told_target_set
    if model.reads == "nothing":
        assert moves["order"] == 0.0
    assert ("dropout" in moves) == (name in NEURAL)
    assert all(np.isfinite(move) and move >= 0.0 for move in moves.values())


@pytest.mark.parametrize("name", having("read_sets"))
def test_sets_that_are_not_read_move_nothing(name):
    """Then a model declares that it reads items, and what it is told of the item to predict still moves it."""
    model = make_model(name, CATALOG, read_sets=False)
    moves = measure_moves(model, Fixed(BATCH.with_final_target_set(FREQUENT_K)))
    assert (model.reads, moves["sets"]) == ("items", 0.0)
    assert moves["told"] > 0.0


@pytest.mark.parametrize("name", [name for name in NEURAL if model_class(name).told_target_set])
def test_a_model_that_is_told_a_type_is_moved_by_another_type_alone(name):
    """Where the set to predict has the rarest behavior, being told of that alone changes a set and no type."""
    model = make_model(name, CATALOG, **reading(name))
    same_type = BATCH.with_final_target_set(1 - FREQUENT_K)
    assert (measure_moves(model, Fixed(same_type))["told"] > 0.0) == (model.reads == "sets")


@pytest.mark.parametrize("name", MODELS)
def test_sets_that_are_empty_already_move_nothing(name):
    """Where no set says anything, emptying them is no change, whatever the model reads."""
    silent = replace(BATCH, sets_BLK=torch.zeros_like(BATCH.sets_BLK))
    assert measure_moves(make_model(name, CATALOG, **reading(name)), Fixed(silent))["sets"] == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_the_set_that_is_told_already_moves_nothing(name):
    """A user whose item has the rarest behavior alone is told nothing else."""
    rarest_K = torch.zeros(4, dtype=torch.uint8)
    rarest_K[int(CATALOG.behavior_counts_K.argmin())] = 1
    told = BATCH.with_final_target_set(rarest_K)
    assert measure_moves(make_model(name, CATALOG, **reading(name)), Fixed(told))["told"] == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_windows_of_one_step_have_one_order(name):
    """What cannot be shuffled does not move: padding keeps its place."""
    single = make_batch(CATALOG, lengths=(1, 1, 0))
    assert measure_moves(make_model(name, CATALOG, **reading(name)), Fixed(single))["order"] == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_a_measurement_leaves_what_it_finds(name):
    """Weights, mode and the caller's random numbers are as before, and the same model gives the same moves."""
    model = make_model(name, CATALOG, **reading(name)).train()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = measure_moves(model, Fixed(BATCH)), measure_moves(model, Fixed(BATCH))
    assert first == second
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NEURAL)
def test_without_dropout_two_passes_are_one(name):
    """The reference is dropout's alone."""
    off = {field: 0.0 for field in CONFIGS[name].model_fields if "dropout" in field}
    assert measure_moves(make_model(name, CATALOG, **off), Fixed(BATCH))["dropout"] == 0.0


def test_a_shuffled_window_has_the_same_steps():
    """Items keep their sets and padding its place; only the order differs, and what is to be predicted stays."""
    batch = make_batch(CATALOG, lengths=(MAX_LENGTH, 3, 0))
    other = shuffled(batch, torch.Generator().manual_seed(SEED))
    assert torch.equal(other.real_BL, batch.real_BL)
    assert torch.equal(other.target_sets_BLK, batch.target_sets_BLK)
    assert not torch.equal(other.items_BL, batch.items_BL)
    assert steps(other) == steps(batch)


def steps(batch: Batch) -> list[list[tuple[int, list[int]]]]:
    """The steps of each window, sorted."""
    pairs = zip(batch.items_BL.tolist(), batch.sets_BLK.tolist(), strict=True)
    return [sorted(zip(items, sets, strict=True)) for items, sets in pairs]


def test_a_relative_change_is_of_all_users_together():
    """The norm of all differences over the norm of all states: hand-made."""
    before = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert relative_change(before, before) == 0.0
    assert relative_change(before, before + torch.tensor([[0.0, 3.0], [4.0, 0.0]])) == 1.0


def test_a_sample_is_of_evaluated_users_as_they_are_ranked():
    """Only users with an item to predict are drawn, nobody twice, and the protocol says what models are told."""
    rows_U, bounds = torch.tensor([0, 2, 3]), torch.tensor([0, 4, 4, 7, 12])
    everything = Windows(
        MAX_LENGTH,
        torch.arange(1, 13, dtype=torch.int32),
        torch.ones(12, 4, dtype=torch.uint8),
        bounds[:-1],
        bounds[1:],
    )
    evaluator = Evaluator(everything, rows_U, CATALOG, EvaluationConfig(target_set="constant"))
    drawn = evaluator.sample(2, torch.Generator().manual_seed(1))
    assert len(set(drawn.users_B.tolist())) == 2
    everybody = evaluator.sample(9, torch.Generator().manual_seed(1))
    assert sorted(everybody.users_B.tolist()) == [1, 3, 4]
    assert everybody.target_sets_BLK[:, -1].tolist() == [[0, 1, 1, 1]] * 3

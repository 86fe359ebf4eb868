"""What every neural model keeps (see NeuralRecommender); tests of a field are of each model whose Config has it."""

from dataclasses import replace
from typing import Any, get_args

import pydantic
import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.errors import ConfigError
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import model_class
from tests.builders import MAX_LENGTH, make_batch, make_catalog, make_model
from tests.contracts.subjects import (
    BATCH,
    CATALOG,
    CONFIGS,
    FIELDS,
    NEURAL,
    conditions,
    having,
    other_values,
)

CAUSAL = [name for name in NEURAL if model_class(name).is_causal]
NEURAL_FIELDS = [(name, field) for name, field in FIELDS if name in NEURAL]


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("num_behaviors", [2, 4, 5])
def test_any_number_of_behaviors_trains(name, num_behaviors):
    """With 2, 4 or 5 behaviors, losses are finite scalars, the next item's among them."""
    catalog = make_catalog(num_behaviors)
    losses = make_model(name, catalog).losses(make_batch(catalog))
    assert "next" in losses
    assert all(loss.isfinite() and loss.shape == () for loss in losses.values())


@pytest.mark.parametrize("name", NEURAL)
def test_a_fully_padded_row_brings_no_nan(name):
    """A user without any real step leaves losses and gradients finite."""
    model = make_model(name, CATALOG)
    loss = torch.stack(
        list(model.losses(make_batch(CATALOG, lengths=(MAX_LENGTH, 0, 2))).values())
    ).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(
        parameter.grad.isfinite().all()
        for parameter in model.parameters()
        if parameter.grad is not None
    )


def seeded_losses(
    model: NeuralRecommender, seed: int = 1, batch: Batch = BATCH
) -> dict[str, float]:
    """The losses in training mode; dropout and views are those of the seed."""
    torch.manual_seed(seed)
    negatives_X = torch.randint(1, CATALOG.num_items + 1, (model.num_shared_negatives,))
    batch = batch.with_shared_negatives(negatives_X) if len(negatives_X) else batch
    return {name: loss.item() for name, loss in model.train().losses(batch).items()}


def total(model: NeuralRecommender) -> Tensor:
    return torch.stack(list(model.losses(BATCH).values())).sum()


def step_states(model: NeuralRecommender, batch: Any) -> Tensor:
    """states_BLD of every step, of models that encode all steps at once."""
    states = model.encode(batch)
    return states[0] if isinstance(states, tuple) else states


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("step", range(MAX_LENGTH - 1))
def test_the_past_does_not_see_the_future(name, step):
    """Other items, sets and target sets after step l leave the states up to l, at real steps, exactly as they are."""
    model = make_model(name, CATALOG).eval()
    after_L1 = (torch.arange(MAX_LENGTH) > step)[:, None]
    real_BL = BATCH.real_BL
    other_items_BL = torch.where(
        after_L1[:, 0] & real_BL, CATALOG.num_items + 1 - BATCH.items_BL, BATCH.items_BL
    )
    other = replace(
        BATCH,
        items_BL=other_items_BL,
        sets_BLK=torch.where(after_L1, 1 - BATCH.sets_BLK, BATCH.sets_BLK),
        target_items_BL=torch.where(after_L1[:, 0], 1, BATCH.target_items_BL),
        target_sets_BLK=torch.where(after_L1, 1 - BATCH.target_sets_BLK, BATCH.target_sets_BLK),
    )
    before_BLD, after_BLD = step_states(model, BATCH), step_states(model, other)
    kept_BL = real_BL & ~after_L1[:, 0]
    assert torch.equal(before_BLD[kept_BL], after_BLD[kept_BL])
    assert not torch.equal(before_BLD[:, -1], after_BLD[:, -1])


@pytest.mark.parametrize("name", CAUSAL)
def test_the_final_state_is_that_of_the_newest_step(name):
    """What is ranked with is what the newest step was trained with."""
    model = make_model(name, CATALOG).double().eval()
    torch.testing.assert_close(
        model.final_states(BATCH), step_states(model, BATCH)[:, -1], atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("size", [1, 7, 12])
def test_micro_batches_are_the_batch(name, size, monkeypatch):
    """Losses and gradients of a batch in micro-batches are those of the batch as one, whatever their size."""
    fields = CONFIGS[name].model_fields
    still: dict[str, Any] = {field: 0.0 for field in fields if field.endswith("dropout")}
    # The one that draws nothing
    still |= {"augmentation": "flip", "rho": 1.0} if "augmentation" in fields else {}
    still |= (
        {"crop_share": 1.0, "mask_share": 0.0, "reorder_share": 0.0}
        if "crop_share" in fields
        else {}
    )
    model = make_model(name, CATALOG, **still).double()
    split, results = Batch.micro_batches, []
    for divide in (
        lambda batch, *_, **__: [batch],
        lambda batch, _, shortest=1: split(batch, size, shortest),
    ):
        monkeypatch.setattr(Batch, "micro_batches", divide)
        torch.manual_seed(1)  # what is hidden or viewed is drawn for the batch
        losses = torch.stack(list(model.losses(BATCH).values()))
        results.append((losses, *torch.autograd.grad(losses.sum(), list(model.parameters()))))
    for whole, divided in zip(*results, strict=True):
        torch.testing.assert_close(divided, whole, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("loss", ["bce", "ce", "sampled_softmax"])
def test_the_loss_is_the_one_asked_for(name, loss):
    """`ce` compares with every item, others with some: only the former moves all rows of the table."""
    catalog = make_catalog(num_items=60)
    model = make_model(name, catalog, loss=loss)
    loss_terms = model.losses(make_batch(catalog, lengths=(2, 1)))
    [gradient_VD] = torch.autograd.grad(loss_terms["next"], [model.items.weight])
    assert gradient_VD[1:61].any(dim=1).all() == (loss == "ce")
    assert not gradient_VD[0].any()


@pytest.mark.parametrize("name", NEURAL)
def test_one_seed_one_result(name):
    """The same seed gives the same weights and the same losses; another gives others."""
    one, same, other = (make_model(name, CATALOG, seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert seeded_losses(one) == seeded_losses(same)
    assert seeded_losses(one) != seeded_losses(other)


@pytest.mark.parametrize("name", NEURAL)
def test_losses_see_no_more_than_max_length_steps(name):
    """The losses of a longer window are those of its newest `max_length` steps, to the bit."""
    model = make_model(name, CATALOG, max_length=4)
    assert seeded_losses(model, batch=BATCH.newest(4)) == seeded_losses(model)


@pytest.mark.parametrize("name", NEURAL)
def test_padding_stays_zero_through_training(name):
    """The padding row of the item table is zero at the start and after steps of Adam with weight decay."""
    model = make_model(name, CATALOG)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        assert model.item_vectors()[0].count_nonzero() == 0
        optimizer.zero_grad()
        total(model).backward()
        optimizer.step()
    assert model.item_vectors()[0].count_nonzero() == 0
    assert model.item_vectors()[1:].isfinite().all()


@pytest.mark.parametrize("name", NEURAL)
def test_every_parameter_learns(name):
    """Every parameter takes part in the default training loss: none is left without a gradient."""
    model = make_model(name, CATALOG)
    total(model).backward()
    assert [path for path, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", NEURAL)
def test_losses_leave_the_batch_as_it_is(name):
    """Neither losses nor scores write to the batch."""
    before = {field: tensor.clone() for field, tensor in vars(BATCH).items()}
    model = make_model(name, CATALOG)
    model.losses(BATCH)
    model.scores(BATCH)
    assert all(torch.equal(tensor, before[field]) for field, tensor in vars(BATCH).items())


@pytest.mark.parametrize("name", having("lambda_"))
def test_lambda_zero_leaves_the_next_item_loss_alone(name):
    """With lambda = 0 there is one term, `next`, with the value it has beside the contrastive one."""
    still = {field: 0.0 for field in CONFIGS[name].model_fields if field.endswith("dropout")}
    alone = seeded_losses(make_model(name, CATALOG, lambda_=0.0, **still))
    beside = seeded_losses(make_model(name, CATALOG, lambda_=1.0, **still))
    assert set(alone) == {"next"}
    assert set(beside) == {"next", "contrastive"}
    assert alone["next"] == pytest.approx(beside["next"], rel=1e-6)


@pytest.mark.parametrize("name", having("lambda_"))
def test_lambda_weighs_the_contrastive_loss(name):
    """The term `contrastive` is proportional to lambda."""
    one, ten = (seeded_losses(make_model(name, CATALOG, lambda_=weight)) for weight in (1.0, 10.0))
    assert ten["contrastive"] == pytest.approx(10 * one["contrastive"], rel=1e-6)


@pytest.mark.parametrize("name", having("lambda_", "augmentation"))
def test_without_an_operator_views_differ_by_dropout_alone(name):
    """The contrast stays: that of an operator which changes no step, and without dropout that of equal views."""
    still = {field: 0.0 for field in CONFIGS[name].model_fields if field.endswith("dropout")}
    contrasts = {}
    for dropout, rates in (("on", {}), ("off", still)):
        none, idle, flipped = (
            make_model(name, CATALOG, lambda_=1.0, tau=1.0, **rates, **settings)
            for settings in (
                {"augmentation": "none"},
                {"augmentation": "flip", "rho": 0.0},
                {"augmentation": "flip", "rho": 1.0},
            )
        )
        losses = seeded_losses(none)
        assert set(losses) == {"next", "contrastive"}
        contrasts[dropout] = losses["contrastive"]
        if dropout == "off":
            assert losses == seeded_losses(idle)
            views = (none.views(BATCH), none.views(BATCH))
            assert all(torch.equal(view, BATCH.sets_BLK) for view in views)
            assert not torch.equal(flipped.views(BATCH), BATCH.sets_BLK)
    assert contrasts["on"] != contrasts["off"]


@pytest.mark.parametrize("name", having("read_sets"))
@pytest.mark.parametrize("settings", [{}, {"augmentation": "flip", "rho": 1.0}], ids=str)
def test_sets_that_are_not_read_are_empty_ones(name, settings):
    """Losses, with dropout, and states are those of a model that reads empty sets and contrasts them as they are."""
    emptied = replace(BATCH, sets_BLK=torch.zeros_like(BATCH.sets_BLK))
    ignoring = make_model(name, CATALOG, lambda_=1.0, read_sets=False, **settings)
    reading = make_model(name, CATALOG, lambda_=1.0, augmentation="none")
    assert seeded_losses(ignoring) == seeded_losses(reading, batch=emptied)
    assert torch.equal(ignoring.eval().final_states(BATCH), reading.eval().final_states(emptied))
    assert not torch.equal(ignoring.final_states(BATCH), reading.final_states(BATCH))


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name, field in NEURAL_FIELDS if field.endswith("num_heads")],
)
def test_heads_must_divide_the_width(name, field):
    """An embedding size that the heads do not divide is refused, with both numbers."""
    with pytest.raises(pydantic.ValidationError, match=rf"divisible by {field}, got 32 and 5"):
        CONFIGS[name](embedding_size=32, **{field: 5})


def surroundings(name: str, field: str) -> dict[str, Any]:
    """Settings under which the field should matter: no dropout, a mild tau, and what its `only_when` asks for."""
    fields = CONFIGS[name].model_fields
    settings: dict[str, Any] = {other: 0.0 for other in fields if other.endswith("dropout")}
    # At 0.01 an untrained contrast is solved down to rounding
    settings |= {"tau": 1.0} if "tau" in fields else {}
    settings |= {other: values[0] for other, values in conditions(name, field).items()}
    return {other: value for other, value in settings.items() if other != field}


def shapes(model: NeuralRecommender) -> dict[str, torch.Size]:
    return {path: parameter.shape for path, parameter in model.named_parameters()}


def differ(one: NeuralRecommender, other: NeuralRecommender) -> bool:
    """Whether two models have different parameters, losses (in float64, where none is rounded away) or scores."""
    return (
        shapes(one) != shapes(other)
        or seeded_losses(one.double()) != seeded_losses(other.double())
        or not torch.equal(one.eval().scores(BATCH), other.eval().scores(BATCH))
    )


@pytest.mark.parametrize(("name", "field"), NEURAL_FIELDS)
def test_no_field_is_dead(name, field):
    """Every other value of every field gives other parameters, other losses or other scores, or is refused, and why."""
    around = surroundings(name, field)
    default = make_model(name, CATALOG, **around)
    values = other_values(CONFIGS[name].model_fields[field])
    assert values, "a field needs choices or bounds that include their ends"
    if field == "max_length":  # a longer window shows in longer data only
        values = [value for value in values if value < MAX_LENGTH]
    for value in values:
        if field in CONFIGS[name].refused:
            with pytest.raises(
                ConfigError, match=f"{field} must be .*: {CONFIGS[name].refused[field]}"
            ):
                make_model(name, CATALOG, **around, **{field: value})
        else:
            assert differ(default, make_model(name, CATALOG, **around, **{field: value})), value


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name, field in NEURAL_FIELDS if conditions(name, field)]
)
def test_only_when_is_true(name, field):
    """Where a field's `only_when` says that it has no effect, it has none."""
    for condition, allowed in conditions(name, field).items():
        annotation = CONFIGS[name].model_fields[condition].annotation
        elsewhere = set(get_args(annotation) or (True, False)) - set(allowed)
        assert elsewhere
        for setting in elsewhere:
            around = surroundings(name, field) | {condition: setting}
            default = make_model(name, CATALOG, **around)
            for value in other_values(CONFIGS[name].model_fields[field]):
                assert not differ(default, make_model(name, CATALOG, **around, **{field: value})), (
                    setting,
                    value,
                )

"""What every model keeps that is fitted at once. A model joins by its line in MODELS."""

from typing import Any, get_args

import pytest
import torch

from blade_tune.models import config_class
from blade_tune.models.base import RecommenderModel
from tests.builders import MAX_LENGTH, MEMBERS, make_batch, make_catalog, make_model, make_rows
from tests.contracts.subjects import (
    BATCH,
    CATALOG,
    CONFIGS,
    FIELDS,
    FITTED,
    conditions,
    other_values,
)

# In which every end of every range is another model
LARGER = make_catalog(num_users=90, num_items=260)
ROWS = make_rows(LARGER, num_rows=60)
WINDOWS = make_batch(LARGER)
# It says what is not ranked
OF_EVALUATION = [(name, "max_length") for name in ("popularity", "combination")]
FITTED_FIELDS = [
    (name, field) for name, field in FIELDS if name in FITTED and (name, field) not in OF_EVALUATION
]


def surroundings(name: str, field: str) -> dict[str, Any]:
    """Settings under which the field should matter: what its `only_when` asks for, and neighbors that are not cut."""
    settings = {other: values[0] for other, values in conditions(name, field).items()}
    if "neighbors" in CONFIGS[name].model_fields and field != "neighbors":
        settings["neighbors"] = 5000
    return settings


def scores(name: str, **settings: Any) -> torch.Tensor:
    return make_model(name, LARGER, rows=ROWS, **settings).scores(WINDOWS)


@pytest.mark.parametrize("name", FITTED)
def test_a_model_without_epochs_has_no_parameters_to_train(name):
    """All that it learns is in buffers, which it counts."""
    model = make_model(name, CATALOG)
    assert list(model.parameters()) == []
    assert model.num_parameters > 0


@pytest.mark.parametrize("name", FITTED)
def test_a_fit_is_its_seed_s(name):
    """Two fits of one seed are equal to the bit; another seed matters exactly in models that say so."""
    one, same, other = (make_model(name, CATALOG, seed).scores(BATCH) for seed in (5, 5, 6))
    assert torch.equal(one, same)
    is_seeded = (
        any(config_class(member).is_seeded for member in MEMBERS) if name == "combination" else None
    )
    assert torch.equal(one, other) != (
        config_class(name).is_seeded if is_seeded is None else is_seeded
    )


@pytest.mark.parametrize("name", FITTED)
def test_a_fit_and_scores_leave_what_they_read(name):
    """Neither writes to the rows or to the batch."""
    rows = make_rows(CATALOG)
    before = [array.copy() for array in vars(rows).values()]
    tensors = {field: tensor.clone() for field, tensor in vars(BATCH).items()}
    make_model(name, CATALOG, rows=rows).scores(BATCH)
    assert all(
        (array == kept).all() for array, kept in zip(vars(rows).values(), before, strict=True)
    )
    assert all(torch.equal(tensor, tensors[field]) for field, tensor in vars(BATCH).items())


@pytest.mark.parametrize("name", FITTED)
def test_a_state_is_the_whole_model(name):
    """What `state_dict` holds makes an unfitted model of the same settings score to the bit as the fitted one."""
    fitted = make_model(name, CATALOG)
    other = make_model(name, CATALOG, seed=1, rows=make_rows(CATALOG, num_rows=3, seed=9))
    assert not torch.equal(other.scores(BATCH), fitted.scores(BATCH))
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other.scores(BATCH), fitted.scores(BATCH))


@pytest.mark.parametrize("name", FITTED)
def test_each_user_is_scored_alone(name):
    """A user's scores do not depend on who else is in the batch."""
    model = make_model(name, CATALOG)
    alone = torch.cat([model.scores(batch) for batch in BATCH.split(1)])
    torch.testing.assert_close(alone, model.scores(BATCH), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "field"), FITTED_FIELDS)
def test_no_field_is_dead(name, field):
    """Every other value of every field gives other scores."""
    around = surroundings(name, field)
    default = scores(name, **around)
    values = other_values(CONFIGS[name].model_fields[field])
    assert values, "a field needs choices or bounds that include their ends"
    if field == "max_length":
        values = [value for value in values if value < MAX_LENGTH]
    for value in values:
        assert not torch.equal(default, scores(name, **around, **{field: value})), value


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name, field in FITTED_FIELDS if conditions(name, field)]
)
def test_only_when_is_true(name, field):
    """Where a field's `only_when` says that it has no effect, it has none."""
    for condition, allowed in conditions(name, field).items():
        for setting in set(get_args(CONFIGS[name].model_fields[condition].annotation)) - set(
            allowed
        ):
            default = scores(name, **{condition: setting})
            for value in other_values(CONFIGS[name].model_fields[field]):
                assert torch.equal(default, scores(name, **{condition: setting, field: value}))


@pytest.mark.parametrize("name", FITTED)
def test_models_fit_small_data_of_any_shape(name):
    """One user, one item, or more items than users: every model fits, and scores are finite."""
    for num_users, num_items in ((1, 4), (6, 1), (3, 50)):
        catalog = make_catalog(num_users=num_users, num_items=num_items)
        model: RecommenderModel = make_model(name, catalog)
        assert model.scores(make_batch(catalog, lengths=(3,))).isfinite().all()

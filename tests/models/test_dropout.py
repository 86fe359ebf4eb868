"""Where dropout acts, and at which rate; its effect is in no twin and in no fixture."""

from collections import Counter

import pytest
from torch.nn import functional

from tests.builders import make_batch, make_catalog, make_model

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)


@pytest.fixture
def places(monkeypatch) -> Counter:
    """Counts (what, rate) of every dropout in a forward pass."""
    counter: Counter = Counter()
    dropout, attention = functional.dropout, functional.scaled_dot_product_attention

    def recorded_dropout(states, p, training=True, inplace=False):
        counter["states", p] += 1 if training and p else 0
        return dropout(states, p, training, inplace)

    def recorded_attention(*args, dropout_p, **kwargs):
        counter["attention", dropout_p] += 1 if dropout_p else 0
        return attention(*args, dropout_p=dropout_p, **kwargs)

    monkeypatch.setattr(functional, "dropout", recorded_dropout)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", recorded_attention)
    return counter


def acting(places: Counter) -> dict[tuple[str, float], int]:
    """Those places where anything is dropped."""
    return {place: times for place, times in places.items() if times}


def test_blade_drops_embeddings_attention_and_outputs_of_sublayers(places):
    """One rate everywhere: both paths' inputs, each attention's weights, and both sub-layers of every block."""
    model = make_model("blade", CATALOG, dropout=0.25, num_blocks=3)
    model.encode(BATCH)
    blocks = 3 + 3 + 1
    assert acting(places) == {("states", 0.25): 2 + 2 * blocks, ("attention", 0.25): blocks}


def test_blade_released_drops_each_path_at_its_own_rate(places):
    """Both paths drop their input, attention weights and outputs, and the inner and outer states of their networks."""
    model = make_model("blade_released", CATALOG, dropout=0.25, early_dropout=0.125, num_blocks=3, early_num_blocks=2)
    model.encode(BATCH)
    early, late = 2, 3 + 1  # cross-attention belongs to the intermediate path
    assert acting(places) == {
        ("states", 0.125): 1 + 3 * early,
        ("attention", 0.125): early,
        ("states", 0.25): 1 + 3 * late,
        ("attention", 0.25): late,
    }


@pytest.mark.parametrize("name", ["blade", "blade_released"])
def test_nothing_is_dropped_in_evaluation(name, places):
    """In evaluation dropout acts nowhere."""
    make_model(name, CATALOG).eval().scores(BATCH)
    assert acting(places) == {}

"""Where dropout acts, and at which rate; its effect is in no twin and in no fixture."""

from collections import Counter
from types import ModuleType

import pytest

from blade_tune.kernels import dropped_attention
from blade_tune.layers import dropout
from tests.builders import make_batch, make_catalog, make_model

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)


@pytest.fixture
def places(monkeypatch) -> Counter:
    """Counts (what, rate) of every dropout in a forward pass."""
    counter: Counter = Counter()

    def recorded(what: str, module: ModuleType) -> None:
        draw = module.draw_signs

        def draw_and_count(out, rate):
            counter[what, rate] += 1
            return draw(out, rate)

        monkeypatch.setattr(module, "draw_signs", draw_and_count)

    recorded("states", dropout)
    recorded("attention", dropped_attention)
    return counter


def test_blade_drops_embeddings_attention_and_outputs_of_sublayers(places):
    """One rate everywhere: both paths' inputs, each attention's weights, and both sub-layers of every block."""
    model = make_model("blade", CATALOG, dropout=0.25, num_blocks=3)
    model.encode(BATCH)
    blocks = 3 + 3 + 1
    assert places == {("states", 0.25): 2 + 2 * blocks, ("attention", 0.25): blocks}


def test_blade_released_drops_each_path_at_its_own_rate(places):
    """Both paths drop their input, attention weights and outputs, and the inner and outer states of their networks."""
    model = make_model(
        "blade_released",
        CATALOG,
        dropout=0.25,
        early_dropout=0.125,
        num_blocks=3,
        early_num_blocks=2,
    )
    model.encode(BATCH)
    early, late = 2, 3 + 1  # cross-attention belongs to the intermediate path
    assert places == {
        ("states", 0.125): 1 + 3 * early,
        ("attention", 0.125): early,
        ("states", 0.25): 1 + 3 * late,
        ("attention", 0.25): late,
    }


@pytest.mark.parametrize("name", ["blade", "blade_released"])
def test_nothing_is_dropped_in_evaluation(name, places):
    """In evaluation dropout acts nowhere."""
    make_model(name, CATALOG).eval().scores(BATCH)
    assert places == {}

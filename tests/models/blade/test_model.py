from itertools import product
from typing import Any

import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.models.blade.model import Blade
from blade_tune.models.settings.blade import BladeConfig
from tests.builders import make_batch, make_catalog, shaken
from tests.layers.twins import Weights, weights_of
from tests.models.blade import twin_blade
from tests.models.blade.twin_blade import Row

CATALOG = make_catalog(num_behaviors=3)
# Full, padded, all padding, one step
BATCH = make_batch(CATALOG, lengths=(5, 2, 0, 1), max_length=5)


def tiny_blade(**settings: Any) -> Blade:
    """A Blade without dropout, in float64, every weight of a size that matters."""
    tiny = {
        "embedding_size": 8,
        "max_length": 5,
        "num_experts": 3,
        "dropout": 0.0,
        "augmentation": "none",
    }
    return shaken(Blade(BladeConfig(**(tiny | settings)), CATALOG))


def rows_of(batch: Batch) -> list[Row]:
    columns = [tensor for name, tensor in vars(batch).items() if name != "shared_negatives_X"]
    return [Row(*(tensor[i].tolist() for tensor in columns)) for i in range(len(batch))]


def as_float64(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


FORMS = list(
    product(["sum", "concat", "gate"], ["all", "present"], ["query", "fused"], ["xavier", "normal"])
)


@pytest.mark.parametrize(("fusion", "set_softmax", "cross_residual", "init"), FORMS)
def test_encode_equals_its_twin(fusion, set_softmax, cross_residual, init):
    """The whole forward pass gives what the equations give, one by one, in every form of the model."""
    model = tiny_blade(
        fusion=fusion, set_softmax=set_softmax, cross_residual=cross_residual, init=init, alpha=0.3
    )
    assert_encodes_as_its_twin(model)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_heads": 4},
        {"num_heads": 1, "num_blocks": 3},
        {"ffn_multiple": 4},
        {"layer_norm_eps": 1e-3},
        {"alpha": 1.0},
    ],
    ids=str,
)
def test_encode_equals_its_twin_at_other_sizes(settings):
    """The forward pass equals its twin for other heads, blocks, widths, epsilons and shares of the two paths."""
    assert_encodes_as_its_twin(tiny_blade(**settings))


def assert_encodes_as_its_twin(model: Blade) -> None:
    twin = [twin_blade.encode(weights_of(model), model.config, row) for row in rows_of(BATCH)]
    states_BLD, fused_BLD = model.encode(BATCH)
    torch.testing.assert_close(
        fused_BLD, as_float64([fused for _, fused in twin]), atol=1e-10, rtol=0
    )
    torch.testing.assert_close(
        states_BLD, as_float64([states for states, _ in twin]), atol=1e-10, rtol=0
    )


@pytest.mark.parametrize("ffn_multiple", [1, 2, 4])
def test_ffn_multiple_widens_every_network(ffn_multiple):
    """All feed-forward networks and experts have the inner width f = ffn_multiple d."""
    model = tiny_blade(ffn_multiple=ffn_multiple)
    for block in (*model.early_blocks, model.cross):
        assert block.feed_forward.expand.out_features == 8 * ffn_multiple
    for block in model.intermediate_blocks:
        assert block.experts.expand_EDF.shape == (3, 8, 8 * ffn_multiple)


def test_scores_are_the_newest_state_times_the_unscaled_item_table():
    """The score of an item is the dot product of the last user state and the item's row of the table."""
    model = tiny_blade()
    w = weights_of(model)
    newest = [twin_blade.encode(w, model.config, row)[0][-1] for row in rows_of(BATCH)]
    twin = [[twin_blade.dot(state, vector) for vector in w["items.weight"]] for state in newest]
    torch.testing.assert_close(model.scores(BATCH), torch.tensor(twin), atol=1e-4, rtol=0)


TRAINED = make_batch(CATALOG, lengths=(5, 2, 4, 1), max_length=5)


@pytest.mark.parametrize("richness_weight", [True, False])
@pytest.mark.parametrize("contrast_on", ["user", "fused"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_losses_equal_their_twin(similarity, contrast_on, richness_weight):
    """Both loss terms are what the equations give when both views are the original."""
    model = tiny_blade(
        similarity=similarity,
        contrast_on=contrast_on,
        richness_weight=richness_weight,
        lambda_=0.7,
        tau=0.6,
    )
    rows = rows_of(TRAINED)
    assert_loses_as_its_twin(model, rows, views=rows)


def test_losses_contrast_augmented_input_sets_only():
    """`flip` at rho = 1 leaves nothing to chance: both views flip every real step's click; targets stay as they are."""
    model = tiny_blade(augmentation="flip", rho=1.0)
    flipped_BLK = TRAINED.sets_BLK.clone()
    flipped_BLK[..., CATALOG.auxiliary[0]] ^= TRAINED.real_BL
    flipped = Batch(
        TRAINED.users_B,
        TRAINED.items_BL,
        flipped_BLK,
        TRAINED.target_items_BL,
        TRAINED.target_sets_BLK,
        TRAINED.negatives_BL,
    )
    assert_loses_as_its_twin(model, rows_of(TRAINED), views=rows_of(flipped))


def assert_loses_as_its_twin(model: Blade, rows: list[Row], views: list[Row]) -> None:
    w, config = weights_of(model), model.config
    twin = {
        "next": twin_blade.next_item_loss(w, config, rows),
        "contrastive": config.lambda_ * contrastive_twin(w, config, views),
    }
    ours = {name: loss.item() for name, loss in model.train().losses(TRAINED).items()}
    assert ours == pytest.approx(twin, abs=1e-10)


def contrastive_twin(w: Weights, config: BladeConfig, rows: list[Row]) -> float:
    views = [twin_blade.view(w, config, row) for row in rows]
    return twin_blade.contrastive_loss(views, views, config.similarity, config.tau)


def test_full_target_sets_make_richness_weighting_idle():
    """When every target set holds every behavior, the weighted loss is the unweighted one."""
    full = Batch(**{**vars(TRAINED), "target_sets_BLK": torch.ones_like(TRAINED.target_sets_BLK)})
    weighted, plain = (
        tiny_blade(richness_weight=weight, lambda_=0.0).losses(full) for weight in (True, False)
    )
    torch.testing.assert_close(weighted, plain, atol=1e-12, rtol=0)


def test_states_at_padding_do_not_enter_the_contrast():
    """What the model thinks of padding steps is not contrasted: other targets there change no contrastive loss."""
    model = tiny_blade()
    before = model.losses(TRAINED)["contrastive"]
    told_BLK = torch.where(TRAINED.real_BL[..., None], TRAINED.target_sets_BLK, 1)
    assert torch.equal(
        model.losses(Batch(**{**vars(TRAINED), "target_sets_BLK": told_BLK}))["contrastive"], before
    )


def test_factor_init_ones_starts_every_user_alike():
    """With `factor_init: ones` every user factor starts at 1, whatever `init` draws elsewhere."""
    torch.manual_seed(0)
    model = Blade(BladeConfig(embedding_size=8, factor_init="ones"), make_catalog())
    assert (model.sets.user_factors.weight == 1).all()


def test_items_are_scaled_by_the_root_of_their_width_under_xavier_only():
    """The item scale s is sqrt(d) with init xavier and 1 with init normal."""
    assert tiny_blade(init="xavier").item_scale == pytest.approx(8**0.5)
    assert tiny_blade(init="normal").item_scale == 1.0

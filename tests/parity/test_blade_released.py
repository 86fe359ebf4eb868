from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.losses import contrastive
from blade_tune.models.blade.released import BladeReleased
from blade_tune.models.settings.blade import BladeReleasedConfig
from tests.parity.weights import assert_same, fixture, from_blade_release


@pytest.fixture(params=["sum", "concat", "gate"])
def release(request):
    return fixture(f"blade_released_{request.param}")


@pytest.fixture
def model(release) -> BladeReleased:
    theirs: dict[str, Any] = release["config"]
    config = BladeReleasedConfig(
        embedding_size=theirs["hidden_dims"],
        max_length=theirs["maxlen"],
        num_blocks=theirs["num_blocks"],
        num_heads=theirs["num_heads"],
        num_experts=theirs["num_experts"],
        early_num_blocks=theirs["transformer_num_blocks"],
        early_num_heads=theirs["transformer_num_heads"],
        fusion=theirs["early_fusion_type"],
        alpha=theirs["trade_off"],
        tau=theirs["temperature"],
        lambda_=0.0,
    )
    counts_K, pairs_KK = np.ones(4, np.int64), np.ones((4, 4), np.int64)
    behaviors = ("click", "like", "share", "follow")
    model = BladeReleased(
        config, Catalog(theirs["user_num"], theirs["item_num"], behaviors, (0,), counts_K, pairs_KK)
    )
    model.double().eval().load_state_dict(from_blade_release(release["params"], theirs))
    return model


@pytest.fixture
def batch(release) -> Batch:
    inputs = {name: torch.tensor(values) for name, values in release["inputs"].items()}
    return Batch(
        inputs["users"],
        inputs["items"],
        inputs["sets"].to(torch.uint8),
        inputs["targets"],
        inputs["target_sets"].to(torch.uint8),
        inputs["negatives"],
    )


def test_states_equal_the_release_s(release, model, batch):
    """`blade_released` encodes every step, padding too, as the authors' release does."""
    assert_same(model.encode(batch), release["outputs"]["states"])


def test_next_loss_equals_the_release_s(release, model, batch):
    """The richness-weighted next-item loss is the release's."""
    assert model.losses(batch)["next"].item() == pytest.approx(
        release["outputs"]["bce_richness"], abs=1e-8
    )


def test_contrastive_loss_equals_the_release_s(release, model, batch):
    """Contrasting the sets with their complements, padding steps included, gives the release's NCE."""
    first_ND = model.encode(batch).flatten(1)
    second_ND = model.encode(replace(batch, sets_BLK=1 - batch.sets_BLK)).flatten(1)
    loss = contrastive(first_ND, second_ND, "cosine", model.config.tau)
    assert loss.item() == pytest.approx(release["outputs"]["nce"], abs=1e-8)

"""What a step of a training is: its negatives, and its decay."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from blade_tune.data.store import SearchData
from blade_tune.training.config import EvaluationConfig, TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Training
from tests.builders import make_model

LENGTH = 6
Make = Callable[..., Training]


@pytest.fixture(scope="module")
def device_data(tiny: SearchData) -> DeviceData:
    return DeviceData.for_search(tiny, LENGTH, EvaluationConfig(), torch.device("cpu"))


@pytest.fixture
def make(tiny: SearchData, device_data: DeviceData) -> Make:
    """Build a training of a small BLADE, four steps an epoch."""

    def build(model: Mapping[str, Any] = {}, **settings: Any) -> Training:
        small = {"max_length": LENGTH, "embedding_size": 8, "num_blocks": 1, **model}
        config = TrainConfig(**{"batch_size": 8, "max_epochs": 3, "eval_every": 1, **settings})
        windows, negatives = device_data.windows, device_data.negatives
        return Training(
            make_model("blade", tiny.catalog, 1, **small), windows, negatives, config, "ndcg@10"
        )

    return build


def test_adam_has_decay_in_its_gradient(make: Make):
    """The first step of adam moves a weight whose gradient is zero by the whole rate towards zero, however small."""
    training = make(weight_decay=0.5, learning_rate=1e-4, batch_size=1000)
    weight = training.model.items.weight
    training.model.losses = lambda _: {"next": 0.0 * weight.sum()}  # type: ignore[method-assign]
    before = weight.detach().clone()
    training.train_epoch()
    torch.testing.assert_close(
        weight[1:].detach(), before[1:] - 1e-4 * before[1:].sign(), atol=1e-6, rtol=1e-3
    )


@pytest.mark.parametrize(("loss", "shared"), [("bce", 0), ("ce", 0), ("sampled_softmax", 3)])
def test_a_step_has_the_negatives_of_its_loss(make: Make, loss: str, shared: int):
    """Losses that share negatives get so many for the batch and no other; the others get one a step and none shared."""
    training = make({"loss": loss, **({"num_negatives": 3} if shared else {})})
    batches: list[Any] = []
    losses = training.model.losses

    def spy(batch: Any) -> Any:
        batches.append(batch)
        return losses(batch)

    training.model.losses = spy  # type: ignore[method-assign]
    training.train_epoch()
    for batch in batches:
        assert (batch.negatives_BL is None) == bool(shared)
        assert (0 if batch.shared_negatives_X is None else len(batch.shared_negatives_X)) == shared
    if shared:
        assert len({tuple(batch.shared_negatives_X.tolist()) for batch in batches}) > 1

"""A training by the fast paths is the one by their slow twins."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.store import SearchData
from blade_tune.kernels.dropped_attention import plain_dropped_attention
from blade_tune.layers import attention
from blade_tune.models import micro_batches
from blade_tune.models.blade import model as blade
from blade_tune.models.blade import released as blade_released
from blade_tune.training.config import EvaluationConfig, TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Hooks, Training, TrainingResult
from tests.builders import make_model

LENGTH = 6
MODELS = {"blade": blade, "blade_released": blade_released}


def plain_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Step by step, under autograd; with the draws of the fast one."""
    query = query * value.shape[-1] ** -0.5
    if rate:
        return plain_dropped_attention(query, key, value, mask, rate)
    return torch.softmax(query @ key.mT + mask, dim=-1) @ value


def slow_down(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Attention step by step, a batch as one, and every row looked up where it is needed."""
    monkeypatch.setattr(attention, "attend", plain_attention)
    monkeypatch.setattr(module, "in_micro_batches", lambda compute, batch, *_: [compute(batch)])


def trained(name: str, data: SearchData, dropout: float) -> TrainingResult:
    """Three epochs in float64; views are not augmented, which would draw, and in pieces otherwise."""
    rates = {"dropout": dropout} | ({"early_dropout": dropout} if name == "blade_released" else {})
    views = {"augmentation": "none", "tau": 1.0, "lambda_": 0.5}
    model = make_model(
        name, data.catalog, max_length=LENGTH, embedding_size=8, num_heads=2, **rates, **views
    ).double()
    place = DeviceData.for_search(data, LENGTH, EvaluationConfig(), torch.device("cpu"))
    config = TrainConfig(batch_size=8, max_epochs=3, eval_every=1)
    return Training(model, place.windows, place.negatives, config, "ndcg@10").run(
        Hooks(place.evaluator)
    )


@pytest.mark.parametrize("name", MODELS)
# micro-batches change the draws of dropout
@pytest.mark.parametrize(("dropout", "steps"), [(0.0, 12), (0.5, 10**6)])
def test_a_short_training_is_that_of_the_slow_twins(name, dropout, steps, tiny, monkeypatch):
    """After three epochs all is as without micro-batches, local rows and fused attention: losses, ranks and weights."""
    monkeypatch.setattr(micro_batches, "MICRO_BATCH_STEPS", steps)
    if dropout:  # draws come in the order of the batch, which micro-batches change
        monkeypatch.setattr(Batch, "micro_batches", lambda batch, *_, **__: [batch])
    fast = trained(name, tiny, dropout)
    slow_down(monkeypatch, MODELS[name])
    slow = trained(name, tiny, dropout)
    for ours, twin in zip(fast.history, slow.history, strict=True):
        assert ours.losses == pytest.approx(twin.losses, rel=1e-8)
        assert ours.metrics == twin.metrics
    assert torch.equal(fast.ranks_U, slow.ranks_U)
    for path, weights in fast.weights.items():
        torch.testing.assert_close(weights, slow.weights[path], atol=1e-6, rtol=1e-6, msg=path)

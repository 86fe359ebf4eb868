import pytest
import torch

from blade_tune.layers.experts import Experts
from tests.builders import shaken
from tests.layers.twins import experts, weights_of


@pytest.fixture
def states_BLD():
    return torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def gates_BLE():
    return torch.randn(
        2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    ).softmax(-1)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_experts_in_evaluation_equal_the_loop(states_BLD, gates_BLE, dropout):
    """Two matrix products give what the loop over experts gives; in evaluation no dropout acts."""
    module = shaken(Experts(4, 6, 5, inner_dropout=dropout, output_dropout=dropout))
    ours_BLD = module(states_BLD, gates_BLE)
    for b in range(2):
        for step in range(3):
            twin = experts(
                weights_of(module), states_BLD[b, step].tolist(), gates_BLE[b, step].tolist()
            )
            torch.testing.assert_close(ours_BLD[b, step].tolist(), twin, atol=1e-12, rtol=0)


def test_experts_kept_apart_for_output_dropout_give_the_same(states_BLD, gates_BLE):
    """The path that drops outputs of single experts is the same function: with hardly any dropout, the same numbers."""
    module = shaken(Experts(4, 6, 5, output_dropout=1e-12))
    fused_BLD = module(states_BLD, gates_BLE)
    torch.testing.assert_close(module.train()(states_BLD, gates_BLE), fused_BLD, atol=1e-9, rtol=0)


def test_output_dropout_zeroes_outputs_of_single_experts(gates_BLE):
    """Dropped entries are single numbers of single experts, and those kept are scaled by 1 / (1 - rate)."""
    module = shaken(Experts(4, 6, 5, output_dropout=0.5)).train()
    with torch.no_grad():
        module.contract_EFD.zero_()
        module.contract_bias_ED.fill_(1.0)  # every expert says 1
    one_expert_BLE = torch.zeros_like(gates_BLE)
    one_expert_BLE[..., 2] = 1.0
    torch.manual_seed(0)
    outputs_BLD = module(torch.zeros(2, 3, 4, dtype=torch.float64), one_expert_BLE)
    assert set(outputs_BLD.flatten().tolist()) == {0.0, 2.0}

import pytest
import torch

from blade_tune.models.mb_str.gated_experts import GatedExperts
from tests.builders import shaken

STATES_ND = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("part", ["gates.weight_KDF", "specific.weight_KDF", "specific.bias_KF"])
def test_a_label_has_a_gate_and_an_expert_of_its_own(part):
    """What belongs to a behavior moves the states of that behavior alone; behavior 0, which has nothing, is finite."""
    head, types_N = shaken(GatedExperts(4, 2, 3, 1e-5)), torch.tensor([2, 0, 3])
    before_ND = head(STATES_ND, types_N)
    with torch.no_grad():
        head.get_parameter(part)[2] += torch.randn_like(head.get_parameter(part)[2])
    after_ND = head(STATES_ND, types_N)
    assert after_ND.isfinite().all()
    assert torch.isclose(before_ND, after_ND).all(dim=1).tolist() == [True, True, False]

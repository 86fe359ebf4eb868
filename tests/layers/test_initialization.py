import pytest
import torch
from torch import nn

from blade_tune.layers.experts import Experts
from blade_tune.layers.initialization import initialize


@pytest.mark.parametrize("scheme", ["xavier", "normal"])
def test_weights_start_with_the_scheme_s_spread(scheme):
    """Xavier's standard deviation is sqrt(2 / (fan in + fan out)), each expert by its own fans; normal's is 0.02."""
    torch.manual_seed(0)
    parts = nn.ModuleDict(
        {
            "linear": nn.Linear(200, 300),
            "table": nn.Embedding(200, 300),
            "experts": Experts(200, 300, 3),
        }
    )
    initialize(parts, scheme)
    expected = (2 / 500) ** 0.5 if scheme == "xavier" else 0.02
    weights = (
        parts["linear"].weight,
        parts["table"].weight,
        *parts["experts"].expand_EDF,
        *parts["experts"].contract_EFD,
    )
    for weight in weights:
        assert float(weight.detach().std()) == pytest.approx(expected, rel=0.02)
        assert float(weight.detach().mean()) == pytest.approx(0.0, abs=0.02 * expected)


@pytest.mark.parametrize("scheme", ["xavier", "normal"])
def test_biases_and_padding_start_at_zero_and_norms_at_identity(scheme):
    """Biases and a table's padding row are zero; a LayerNorm keeps ones and zeros; a Linear may have no bias."""
    parts = nn.ModuleList(
        (
            nn.Linear(4, 4),
            nn.Embedding(4, 4, padding_idx=0),
            Experts(4, 4, 2),
            nn.LayerNorm(4),
            nn.Linear(4, 4, bias=False),
        )
    )
    for parameter in parts.parameters():
        nn.init.constant_(parameter, 7.0)
    nn.init.ones_(parts[3].weight)
    nn.init.zeros_(parts[3].bias)
    initialize(parts, scheme)
    zeros = (
        parts[0].bias,
        parts[1].weight[0],
        parts[2].expand_bias_EF,
        parts[2].contract_bias_ED,
        parts[3].bias,
    )
    assert all(zero.count_nonzero() == 0 for zero in zeros)
    assert (parts[3].weight == 1).all()
    assert not (parts[4].weight == 7).any()

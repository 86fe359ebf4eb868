import pytest
import torch

from blade_tune.kernels.random_signs import draw_signs, plain_draw_signs

MANY = torch.ones(400_000)


@pytest.mark.parametrize("form", [draw_signs, plain_draw_signs])
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_the_share_of_kept_entries_is_what_was_asked_for(rate, form):
    """In both forms an entry stays with probability 1 - rate, within five standard deviations of a binomial count."""
    torch.manual_seed(0)
    share = form(signs := MANY.clone(), rate)
    assert signs.abs().min() == 0.5
    assert share == pytest.approx(1 - rate, abs=2**-17)
    deviation = (rate * (1 - rate) / MANY.numel()) ** 0.5
    assert (signs > 0).double().mean().item() == pytest.approx(share, abs=5 * deviation)


def test_entries_are_kept_independently():
    """Neighbors, which may come from one draw of 64 bits, agree as often as independent entries do."""
    torch.manual_seed(0)
    draw_signs(signs := MANY.clone(), 0.5)
    kept = signs > 0
    deviation = 0.5 / (MANY.numel() - 4) ** 0.5
    for distance in (1, 2, 3, 4):
        agreeing = (kept[distance:] == kept[:-distance]).double().mean().item()
        assert agreeing == pytest.approx(0.5, abs=5 * deviation)

import pytest
import torch

from blade_tune.models.blade.fusion import FUSIONS
from tests.builders import shaken
from tests.layers.twins import fuse, weights_of


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion_equals_its_twin(name):
    """f(E, B) is their sum, a Linear of [E; B], or E and B weighed by a softmax over the two."""
    module = shaken(FUSIONS[name](4))
    random = torch.Generator().manual_seed(0)
    items_1LD, behaviors_1LD = torch.randn(2, 1, 5, 4, dtype=torch.float64, generator=random)
    twin = [
        fuse(weights_of(module), name, item, behavior)
        for item, behavior in zip(items_1LD[0].tolist(), behaviors_1LD[0].tolist(), strict=True)
    ]
    ours_LD = module(items_1LD, behaviors_1LD)[0]
    torch.testing.assert_close(ours_LD, torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0)

import pytest

from blade_tune.models.blade.fusion import FUSIONS
from tests.parity.weights import as_tensor, assert_same, fixture, renamed

WEIGHTS = {
    "sum": lambda _: {},
    "concat": lambda params: {
        f"project.{kind}": as_tensor(values) for kind, values in params["concat"].items()
    },
    "gate": lambda params: renamed(
        params["gate"], {"score.0": "projection.0", "score.2": "projection.2"}
    ),
}


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion_equals_diff_s(name):
    """sum, concat and gate fuse items with behaviors as DIFF's modules fuse its two sources."""
    diff = fixture("diff_fusion")
    items_BLD, behaviors_BLD = as_tensor(diff["inputs"]["stack_E_B"]).unbind(dim=2)
    module = FUSIONS[name](items_BLD.shape[-1]).double()
    module.load_state_dict(WEIGHTS[name](diff["params"]))
    assert_same(module(items_BLD, behaviors_BLD), diff["outputs"][name])

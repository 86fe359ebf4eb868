"""How both BLADEs mix their two paths."""

import pytest
import torch

from tests.builders import make_batch, make_catalog, make_model

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)


@pytest.mark.parametrize("name", ["blade", "blade_released"])
@pytest.mark.parametrize(
    ("alpha", "cut", "kept"), [(0.0, "intermediate", "early"), (1.0, "early", "intermediate")]
)
def test_alpha_at_an_end_cuts_one_path(name, alpha, cut, kept):
    """alpha = 0 leaves the intermediate path without gradient, alpha = 1 the early one; the other path learns."""
    model = make_model(name, CATALOG, alpha=alpha)
    torch.stack(list(model.losses(BATCH).values())).sum().backward()

    def learns(path: str) -> set[bool]:
        blocks = model.get_submodule(f"{path}_blocks").parameters()
        return {parameter.grad is not None and bool(parameter.grad.any()) for parameter in blocks}

    assert learns(cut) == {False}
    assert True in learns(kept)

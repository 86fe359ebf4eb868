"""Which models torch.export makes a program of, and that those programs score as the models do."""

from pathlib import Path

import pytest
import torch

from blade_tune.errors import BladeTuneError
from blade_tune.export.program import TOLERANCE, check_program, scoring_program
from blade_tune.models import MODELS
from tests.builders import MAX_LENGTH, make_batch, make_model
from tests.contracts.subjects import CATALOG, CONFIGS, NEURAL

# Its recurrences are packed by lengths that are read from the data
NEURAL_WITHOUT = {"dymus_plus"}
# Those that multiply sparse matrices of scipy's have none
FITTED_WITH = {"popularity"}
ALLOWED = [name for name in MODELS if name in FITTED_WITH | set(NEURAL) - NEURAL_WITHOUT]


def small(name: str) -> torch.nn.Module:
    """A model with as little to trace as there may be, and a row of unknown users that says nothing yet."""
    fields = CONFIGS[name].model_fields
    return make_model(name, CATALOG, **({"num_blocks": 1} if "num_blocks" in fields else {})).eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALLOWED)
def test_a_program_scores_as_its_model(name: str, tmp_path: Path) -> None:
    """For any number of users and lengths of histories, unknown users too, within 1e-5; the model stays as it is."""
    model = small(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    made = scoring_program(model)
    assert made.reason == ""
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    path = tmp_path / "program.pt2"
    path.write_bytes(made.content)
    for lengths in ((6, 4, 1, 5, 3), (2,), (0, 6, 1)):
        batch = make_batch(CATALOG, lengths, seed=len(lengths))
        with torch.inference_mode():
            check_program(path, batch, model.scores(batch))
            wrong_BV = model.scores(batch) + 10 * TOLERANCE * (1 + model.scores(batch).abs())
            with pytest.raises(BladeTuneError, match="gives other scores than the model"):
                check_program(path, batch, wrong_BV)
    program = torch.export.load(path).module()
    one = make_batch(CATALOG, (MAX_LENGTH,))
    unknown = program(
        torch.zeros(1, dtype=torch.long), one.items_BL, one.sets_BLK, one.target_sets_BLK[:, -1]
    )
    assert unknown.isfinite()[:, 1:].all()


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ALLOWED])
def test_a_model_without_a_program_has_a_reason(name: str) -> None:
    """What torch said, in few words, and no half of a file."""
    made = scoring_program(small(name))
    assert made.content == b""
    assert made.reason.startswith("torch.export: ")
    assert len(made.reason) < 400
    assert made.facts == {"file": None, "reason": made.reason}

"""How many items CL4SRec's operators keep, mask and move, against DuoRec's rules and ICLRec's code."""

from typing import Any

import pytest
import torch
from torch import Tensor

from blade_tune.augment.items import crop, mask, reorder
from tests.parity.weights import fixture

L, MASK, DRAWS = 50, 99, 8
ROWS = fixture("cl4srec_augment_counts")["rows"]
LENGTHS = torch.tensor([row["n"] for row in ROWS]).repeat_interleave(DRAWS)


def theirs(column: str) -> Tensor:
    return torch.tensor([row[column] for row in ROWS]).repeat_interleave(DRAWS)


@pytest.fixture
def items_BL() -> Tensor:
    """Users of 1 to 50 items, each several times; items count up from the oldest."""
    torch.manual_seed(0)
    places_BL = torch.arange(L) - (L - LENGTHS[:, None]) + 1
    return places_BL.clamp_min(0)


@pytest.mark.parametrize(("share", "column"), [(0.6, "duorec_crop_len"), (0.2, "iclrec_crop_len")])
def test_crop_keeps_as_many(items_BL: Tensor, share: float, column: str):
    """A crop is one contiguous run of as many items as theirs, at least one, left-padded."""
    kept_BL = crop(items_BL, share, MASK)
    assert torch.equal((kept_BL > 0).sum(dim=1), theirs(column).clamp_min(1))
    assert (kept_BL[:, -1] > 0).all()
    steps_BX = kept_BL.diff(dim=1)
    inside_BX = kept_BL[:, :-1] > 0
    assert (steps_BX[inside_BX] == 1).all()
    assert (kept_BL <= LENGTHS[:, None]).all()


@pytest.mark.parametrize(("share", "column"), [(0.3, "duorec_mask"), (0.7, "iclrec_masked")])
def test_mask_hides_as_many(items_BL: Tensor, share: float, column: str):
    """As many items as theirs are [MASK]; the others and padding stay where they are."""
    masked_BL = mask(items_BL, share, MASK)
    assert torch.equal((masked_BL == MASK).sum(dim=1), theirs(column))
    assert torch.equal(torch.where(masked_BL == MASK, items_BL, masked_BL), items_BL)
    assert (masked_BL[items_BL == 0] == 0).all()


@pytest.mark.parametrize(("share", "column"), [(0.6, "duorec_reorder")])
def test_reorder_moves_as_many(items_BL: Tensor, share: float, column: str):
    """The same items, moved within one run of at most theirs; long runs are really moved."""
    moved_BL = reorder(items_BL, share, MASK)
    assert torch.equal(moved_BL.sort(dim=1).values, items_BL)
    assert (moved_BL[items_BL == 0] == 0).all()
    changed_BL = moved_BL != items_BL
    width_B = _width(changed_BL)
    assert (width_B <= theirs(column)).all()
    assert (width_B[LENGTHS > 20] > 1).all()


def _width(changed_BL: Tensor) -> Tensor:
    """From the first change to the last."""
    first_B, last_B = changed_BL.int().argmax(dim=1), L - 1 - changed_BL.flip(1).int().argmax(dim=1)
    return torch.where(changed_BL.any(dim=1), last_B - first_B + 1, 0)


def test_fixtures_are_for_every_length():
    """Theirs has a row for each number of items that a window may hold."""
    rows: list[dict[str, Any]] = ROWS
    assert [row["n"] for row in rows] == list(range(1, L + 1))

"""Views of item sequences; their counts are tested against others' in tests/parity/test_cl4srec.py."""

import torch

from blade_tune.augment.items import crop, reorder, views

MASK = 999
ITEMS = torch.arange(1, 11).expand(3000, 10)


def kinds(view_BL: torch.Tensor) -> list[set[str]]:
    """What each row may have been made by."""
    found = []
    for row in view_BL:
        kind = "crop" if (row == 0).any() else "mask" if (row == MASK).any() else "reorder"
        found.append({kind})
    return found


def test_views_are_of_two_different_operators():
    """No user has two views of one kind, and each ordered pair of kinds comes about equally often."""
    torch.manual_seed(0)
    first_BL, second_BL = views(ITEMS, (0.5, 0.5, 0.9), MASK)
    pairs = [(*one, *other) for one, other in zip(kinds(first_BL), kinds(second_BL), strict=True)]
    counts = {pair: pairs.count(pair) for pair in set(pairs)}
    assert len(counts) == 6
    assert all(one != other for one, other in counts)
    assert all(abs(count - 500) < 5 * 500**0.5 for count in counts.values())


def test_a_crop_may_lie_anywhere():
    """Each of the places that a run of 4 in 10 items may start at is drawn about equally often."""
    torch.manual_seed(0)
    starts = crop(ITEMS, 0.4, MASK)[:, -4].bincount(minlength=8)
    assert starts[0] == 0
    assert ((starts[1:] - 3000 / 7).abs() < 5 * (3000 / 7) ** 0.5).all()


def test_a_reordered_run_is_shuffled_evenly():
    """Over the whole sequence each item comes to each place about equally often."""
    torch.manual_seed(0)
    moved_BL = reorder(ITEMS, 1.0, MASK)
    counts = torch.stack([moved_BL[:, place].bincount(minlength=11)[1:] for place in range(10)])
    assert ((counts - 300).abs() < 5 * 300**0.5).all()

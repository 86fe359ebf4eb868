import torch

from blade_tune.augment.cloze import ask, hide
from tests.builders import MAX_LENGTH, make_batch, make_catalog

BATCH = make_batch(make_catalog())
MASK = 21


def test_hidden_slots_are_the_targets():
    """What is hidden is exactly what is to be found; all else stays, padding is never hidden."""
    torch.manual_seed(0)
    cloze = hide(BATCH, MAX_LENGTH, MASK, 0.5, last=False)
    whole_BL = torch.cat((BATCH.items_BL, BATCH.target_items_BL[:, -1:]), dim=1)[:, -MAX_LENGTH:]
    hidden_BL = cloze.items_BL == MASK
    assert torch.equal(cloze.target_items_BL > 0, hidden_BL)
    assert torch.equal(torch.where(hidden_BL, cloze.target_items_BL, cloze.items_BL), whole_BL)
    assert 0 < hidden_BL.sum() < (whole_BL > 0).sum()
    assert cloze.sets_BLK[:, -1].equal(BATCH.target_sets_BLK[:, -1])


def test_slots_are_hidden_as_often_as_asked():
    """Each real slot is hidden with the given probability; the last one always, where that is asked for."""
    torch.manual_seed(0)
    batch = BATCH.rows(torch.zeros(4000, dtype=torch.int64))
    for last in (False, True):
        share_L = (
            (hide(batch, MAX_LENGTH, MASK, 0.3, last=last).target_items_BL > 0).double().mean(dim=0)
        )
        expected_L = torch.full((MAX_LENGTH,), 0.3, dtype=torch.float64)
        expected_L[-1] = 1.0 if last else 0.3
        assert ((share_L - expected_L).abs() < 5 * (0.21 / 4000) ** 0.5).all()


def test_negatives_belong_to_their_slots():
    """A slot's negative is the one of the step whose target it is; the oldest slot has one too."""
    cloze = hide(BATCH, MAX_LENGTH + 1, MASK, 1.0, last=True)
    assert cloze.negatives_BL[:, 1:].equal(BATCH.negatives_BL)
    assert cloze.negatives_BL[0, 0] > 0


def test_the_answer_is_not_in_the_question():
    """In evaluation the last slot is hidden and no target is known; its behaviors are those that are told."""
    asked = ask(BATCH, MAX_LENGTH, MASK)
    assert (asked.items_BL[:, -1] == MASK).all()
    assert not asked.target_items_BL.any()
    assert asked.sets_BLK[:, -1].equal(BATCH.target_sets_BLK[:, -1])
    assert asked.items_BL[:, :-1].equal(BATCH.items_BL[:, 1:])

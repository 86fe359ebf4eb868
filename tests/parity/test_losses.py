import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.losses import contrastive
from blade_tune.models.item_table import ItemTable
from tests.parity.weights import as_tensor, fixture


@pytest.mark.parametrize("row", range(3))
def test_contrastive_loss_equals_iclrec_s_and_duorec_s(row):
    """InfoNCE by dot product and by cosine is ICLRec's NCELoss and DuoRec's info_nce; our dot is over the width."""
    theirs = fixture("infonce")
    first_ND, second_ND = as_tensor(theirs["inputs"]["h1"]), as_tensor(theirs["inputs"]["h2"])
    expected = theirs["outputs"][row]
    tau, width = expected["tau"], first_ND.shape[1]
    assert contrastive(first_ND, second_ND, "dot", tau / width).item() == pytest.approx(
        expected["iclrec_dot"], abs=1e-8
    )
    assert contrastive(first_ND, second_ND, "cosine", tau).item() == pytest.approx(
        expected["duorec_cos"], abs=1e-8
    )


def test_binary_cross_entropy_equals_eidp_s():
    """The mean over real targets of the loss with one negative is EIDP's BCELoss."""
    eidp = fixture("eidp_bce")
    targets_BL = torch.tensor(eidp["inputs"]["pos"])
    items_VD = as_tensor(eidp["params"]["item_emb"])
    table = ItemTable(len(items_VD) - 1, items_VD.shape[1]).double()
    table.load_state_dict({"weight": items_VD})
    no_sets_BLK = torch.zeros(*targets_BL.shape, 1, dtype=torch.uint8)
    negatives_BL = torch.tensor(eidp["inputs"]["neg"])
    batch = Batch(torch.arange(3), targets_BL, no_sets_BLK, targets_BL, no_sets_BLK, negatives_BL)
    weights_BL = (targets_BL > 0).double() / (targets_BL > 0).sum()
    loss = table.next_item_loss(as_tensor(eidp["inputs"]["seq_output"]), batch, weights_BL, "bce")
    assert loss.item() == pytest.approx(eidp["outputs"]["loss"], abs=1e-8)

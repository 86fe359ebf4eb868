"""CL4SRec's encoder, losses and contrast against DuoRec's; how many items its operators move, against two others."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import blade_tune.models.cl4srec as cl4srec
from blade_tune.augment.items import crop, mask, reorder
from blade_tune.batch import Batch
from blade_tune.losses import contrastive
from blade_tune.models.cl4srec import Cl4SRec
from blade_tune.models.settings.sasrec import Cl4SRecConfig
from tests.builders import make_catalog
from tests.parity.test_sasrec import from_recbole
from tests.parity.weights import as_tensor, assert_same, fixture, renamed

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


def left_padded(rows: list[list[int]]) -> Tensor:
    """Theirs stand first, zeros after."""
    return torch.tensor([[0] * row.count(0) + [item for item in row if item] for row in rows])


@pytest.fixture(params=["duorec_cl4srec", "duorec_cl4srec_wide"])
def duorec(request: pytest.FixtureRequest) -> dict[str, Any]:
    return fixture(request.param)


@pytest.fixture
def model(duorec: dict[str, Any]) -> Cl4SRec:
    """Ours as it is by default, at their sizes and without dropout; other targets than the last weigh nothing."""
    theirs, params = duorec["config"], duorec["params"]
    config = Cl4SRecConfig(
        embedding_size=theirs["hidden_size"],
        max_length=theirs["max_seq_length"],
        dropout=0.0,
        auxiliary_weight=0.0,
    )
    model = Cl4SRec(config, make_catalog(num_items=theirs["n_real_items"])).double().eval()
    weights = renamed(params, {"input_norm": "LayerNorm"})
    for layer in range(theirs["n_layers"]):
        block = from_recbole(params, layer)
        weights |= {f"blocks.{layer}.{name}": value for name, value in block.items()}
    weights["items.weight"] = as_tensor(params["item_embedding.weight"])
    weights["items.weight"][0] = 0.0  # padding, which their start draws
    weights["positions.weight"] = as_tensor(params["position_embedding.weight"])
    model.load_state_dict(weights)
    return model


@pytest.fixture
def batch(duorec: dict[str, Any]) -> Batch:
    """Their sequences with the last target alone of a target behavior."""
    items_BL = left_padded(duorec["inputs"]["item_seq"])
    targets_BL = torch.cat((items_BL[:, 1:], torch.tensor(duorec["inputs"]["pos"])[:, None]), 1)
    sets_BLK = torch.zeros(*items_BL.shape, 4, dtype=torch.uint8)
    sets_BLK[..., 0] = 1
    sets_BLK[:, -1, 1] = 1
    return Batch(torch.arange(1, 5), items_BL, sets_BLK, targets_BL * (items_BL > 0), sets_BLK)


def softmax_over_items(duorec: dict[str, Any]) -> float:
    """Their loss without the class of padding, which their table has a score for."""
    logits_BV, targets_B = as_tensor(duorec["outputs"]["logits"]), duorec["inputs"]["pos"]
    return functional.cross_entropy(logits_BV[:, 1:], torch.tensor(targets_B) - 1).item()


def test_states_and_scores_equal_duorec_s(duorec: dict[str, Any], model: Cl4SRec, batch: Batch):
    """By default, the states of real steps and the scores of items are DuoRec's."""
    assert (model.config.num_blocks, model.config.num_heads) == (2, 2)
    real_BL = batch.real_BL
    theirs_BLD = as_tensor(duorec["outputs"]["layer2"])
    first_BL = torch.arange(real_BL.shape[1]) < real_BL.sum(dim=1, keepdim=True)
    assert_same(model.encode(batch)[real_BL], theirs_BLD[first_BL].tolist())
    assert_same(model.final_states(batch), duorec["outputs"]["seq_output"])
    scores_BV = model.final_states(batch) @ model.item_vectors().T
    assert_same(scores_BV[:, 1:], as_tensor(duorec["outputs"]["logits"])[:, 1:].tolist())


@pytest.mark.parametrize(("similarity", "theirs"), [("plain_dot", "dot"), ("cosine", "cos")])
def test_losses_equal_duorec_s(
    duorec: dict[str, Any],
    model: Cl4SRec,
    batch: Batch,
    similarity: str,
    theirs: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """The softmax loss of the last step, InfoNCE of given views at tau 1 and lambda times it are DuoRec's."""
    model.config = model.config.model_copy(update={"similarity": similarity})
    pair = tuple(left_padded(duorec["inputs"][name]) for name in ("aug1", "aug2"))
    first_BD, second_BD = (model.encode_items(view_BL)[:, -1] for view_BL in pair)
    assert_same(first_BD, duorec["outputs"]["view1_output"])
    assert_same(second_BD, duorec["outputs"]["view2_output"])
    nce = contrastive(first_BD, second_BD, model.config.similarity, model.config.tau)
    assert nce.item() == pytest.approx(duorec["outputs"][f"nce_loss_{theirs}"], abs=1e-8)

    # Losses of the batch as one, whose ids are those of the whole table
    monkeypatch.setattr(cl4srec, "views", lambda *_: pair)
    monkeypatch.setattr(cl4srec, "in_micro_batches", lambda compute, batch, _: [compute(batch)])
    losses = model.losses(batch)
    assert losses["next"].item() == pytest.approx(softmax_over_items(duorec), abs=1e-8)
    assert losses["contrastive"].item() == pytest.approx(0.1 * nce.item(), abs=1e-8)
    # With padding as a class, the sum is their total.
    padding = duorec["outputs"]["ce_loss"] - softmax_over_items(duorec)
    total = torch.stack(list(losses.values())).sum().item() + padding
    assert total == pytest.approx(duorec["outputs"][f"total_loss_{theirs}"], abs=1e-8)


def test_a_step_has_the_state_of_its_prefix(model: Cl4SRec, batch: Batch):
    """One run over a sequence serves all samples that DuoRec makes of its prefixes."""
    states_BLD = model.encode(batch)
    whole_L = batch.items_BL[1]
    for length in range(1, len(whole_L) + 1):
        prefix_L = functional.pad(whole_L[:length], (len(whole_L) - length, 0))
        torch.testing.assert_close(
            model.encode_items(prefix_L[None])[0, -1], states_BLD[1, length - 1]
        )

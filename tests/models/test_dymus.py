"""DyMuS and DyMuS+: what samples of one user share, and what learns from what."""

import pytest
import torch

from blade_tune.layers.recurrent import label_sequences
from tests.builders import MAX_LENGTH, make_batch, make_catalog, make_model

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)
NAMES = ["dymus", "dymus_plus"]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_a_user_at_an_earlier_time(name: str):
    """The state after step l is the newest state of the user as she was then, each sample computed by itself."""
    model = make_model(name, CATALOG, routing_rounds=3).double().eval()
    states_BLD = model.encode(BATCH)
    for step in range(1, MAX_LENGTH + 1):
        then = BATCH._each(lambda value, step=step: value[:, :step] if value.dim() > 1 else value)
        torch.testing.assert_close(states_BLD[:, step - 1], model.final_states(then), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_only_the_newest_steps_are_samples(name: str, loss: str):
    """The loss is the mean over the newest steps of each user, real ones only; older targets are not asked for."""
    model = make_model(name, CATALOG, target_steps=2, loss=loss).double()
    states_BLD = model.encode(BATCH)[:, -2:]
    real_BL = BATCH.real_BL[:, -2:].double()
    newest = BATCH.newest(2)
    expected = model.items.next_item_loss(states_BLD, newest, real_BL / real_BL.sum(), loss)
    torch.testing.assert_close(model.losses(BATCH)["next"], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_rounds_before_the_last_teach_responses_only(name: str):
    """Through routing's logits nothing learns but the responses and the scale of classes."""
    model = make_model(name, CATALOG, routing_rounds=3).double()
    votes = torch.rand(4, 32, 32, 16, dtype=torch.float64, requires_grad=True)
    _, logits_NHC = model.routing.respond(votes, model.routing.start(votes), model.routed_items())
    _, logits_NHC = model.routing.respond(votes, logits_NHC, model.routed_items())
    logits_NHC.square().sum().backward()
    last = {path for path, weights in model.named_parameters() if weights.grad is not None}
    assert last == {"routing.scale", "routing.response_CFX"}
    assert votes.grad is None


def test_responses_learn_through_routing():
    """The response matrices have a gradient from the loss; without a round before the last they have none."""
    model = make_model("dymus", CATALOG).double()
    model.losses(BATCH)["next"].backward()
    assert model.routing.response_CFX.grad.any()
    alone = make_model("dymus", CATALOG, routing_rounds=1).double()
    alone.losses(BATCH)["next"].backward()
    assert alone.routing.response_CFX.grad is None


@pytest.mark.parametrize("padded_to", [None, 9])
def test_sequences_hold_the_steps_of_their_label(padded_to: int | None):
    """In order, close together, with an end after every step of the window; zeros before them where asked for."""
    labels_BL = torch.tensor([[0, 2, 1, 2, 0, 2], [1, 1, 1, 1, 1, 1]])
    steps_BLD = torch.arange(1.0, 13.0).view(2, 6, 1)
    sequences = label_sequences(steps_BLD, labels_BL, 3, padded_to)
    for user in range(2):
        for label in range(1, 4):
            for step in range(6):
                end = int(sequences.ends_BKL[user, label - 1, step])
                seen = steps_BLD[user, : step + 1][labels_BL[user, : step + 1] == label].flatten().tolist()
                found = sequences.steps_BKXD[user, label - 1, :end].flatten().tolist()
                total = int((labels_BL[user] == label).sum())
                assert found == [0.0] * (0 if padded_to is None else padded_to - total) + seen

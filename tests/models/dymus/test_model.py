"""DyMuS and DyMuS+: what samples of one user share, and what learns from what."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.store import prepare
from blade_tune.models.dymus.behavior_sequences import behavior_sequences
from blade_tune.models.dymus.model import RoutedRecommender
from blade_tune.models.dymus.routing import CapsuleRouting, StateRouting
from tests.builders import MAX_LENGTH, make_batch, make_catalog, make_model, shaken
from tests.contracts.subjects import CONFIGS
from tests.data.examples import QK_VIDEO, config, qk_video, whole

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
        torch.testing.assert_close(
            states_BLD[:, step - 1], model.final_states(then), atol=1e-12, rtol=0
        )


@pytest.mark.parametrize("seed", range(8, 14))
def test_many_samples_of_few_users_are_read(seed: int):
    """What is computed only to round numbers up may belong to any user; states are those of each user by herself."""
    catalog = make_catalog(num_users=40)
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(
        1, MAX_LENGTH + 1, (int(torch.randint(17, 40, (1,), generator=random)),), generator=random
    )
    batch = make_batch(catalog, lengths=lengths.tolist(), seed=seed)
    model = make_model("dymus_plus", catalog).double().eval()
    states_BLD = model.encode(batch)
    alone_BLD = torch.cat([model.encode(one) for one in batch.split(1)])
    torch.testing.assert_close(
        states_BLD[batch.real_BL], alone_BLD[batch.real_BL], atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_only_the_newest_steps_are_samples(name: str, loss: str):
    """The loss is the mean over the newest steps of each user, real ones only; older targets are not asked for."""
    model = make_model(name, CATALOG, target_steps=2, loss=loss, auxiliary_weight=1.0).double()
    states_BLD = model.encode(BATCH)[:, -2:]
    real_BL = BATCH.real_BL[:, -2:].double()
    newest = BATCH.newest(2)
    expected = model.items.next_item_loss(states_BLD, newest, real_BL / real_BL.sum(), loss)
    torch.testing.assert_close(model.losses(BATCH)["next"], expected, atol=1e-12, rtol=0)


def newest_samples(model: RoutedRecommender, batch: Batch) -> list[list[int]]:
    """A slow twin: each user's steps from the newest back, as long as there is room for one more sample."""
    found = []
    for real_L, sets_LK in zip(batch.real_BL.tolist(), batch.target_sets_BLK.tolist(), strict=True):
        steps: list[int] = []
        for step in reversed(range(len(real_L))):
            has_weight = model.config.auxiliary_weight > 0 or any(sets_LK[step][1:])
            if real_L[step] and has_weight and len(steps) < model.config.target_steps:
                steps.append(step)
        found.append(sorted(steps))
    return found


@pytest.mark.parametrize("target_steps", [1, 2, 6])
@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_samples_are_the_newest_steps_that_weigh(target_steps: int, weight: float):
    """By default only interactions by a target behavior are samples, and others do not use up their number."""
    model = make_model("dymus", CATALOG, target_steps=target_steps, auxiliary_weight=weight)
    for seed in range(5):
        batch = make_batch(CATALOG, lengths=(6, 4, 1, 5, 3, 0), seed=seed)
        expected = newest_samples(model, batch)
        assert [
            samples_L.nonzero().flatten().tolist() for samples_L in model.samples(batch)
        ] == expected
    assert CONFIGS["dymus"]().auxiliary_weight == 0.0


def test_qk_video_has_the_public_code_s_samples(tmp_path: Path):
    """37,128 over whole histories, as its preprocessing has them; all but 162 lie in windows of 50."""
    directory = qk_video()
    data = prepare(config(QK_VIDEO), directory, tmp_path)
    counts = {}
    for length in (50, 1000):
        model = make_model("dymus", data.catalog, max_length=length, embedding_size=8)
        counts[length] = int(model.samples(whole(data.windows("train", length))).sum())
    assert counts == {50: 36_966, 1000: 37_128}


@pytest.mark.parametrize("name", NAMES)
def test_answers_learn_through_routing(name: str):
    """Answers have a gradient from the loss though rounds are constants; without a round before the last, none."""
    model = make_model(name, CATALOG).double()
    model.losses(BATCH)["next"].backward()
    assert model.routing.item_answer_CDX.grad.any()
    assert model.routing.capsule_answer_CXX.grad.any()
    alone = make_model(name, CATALOG, routing_rounds=1).double()
    alone.losses(BATCH)["next"].backward()
    assert alone.routing.item_answer_CDX.grad is None


def votes_of(routing: StateRouting | CapsuleRouting, states: Tensor) -> Tensor:
    """votes_NICX, in full."""
    if isinstance(routing, StateRouting):
        return torch.einsum("nki,kicx->nicx", states, routing.weight)
    return torch.einsum("nkix,ixkc->nicx", states, routing.weight)


@pytest.mark.parametrize(
    ("kind", "shape"), [(StateRouting, (5, 3, 8)), (CapsuleRouting, (5, 3, 8, 4))]
)
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_routing_equals_its_slow_twin(
    kind: type[StateRouting] | type[CapsuleRouting], shape: tuple[int], rounds: int
):
    """Value and gradients are those of the equations with all votes made and all rounds but the last cut off."""
    random = torch.Generator().manual_seed(0)
    routing = shaken(kind(3, 8, 4, rounds))
    vectors_VD = torch.randn(11, 8, generator=random, dtype=torch.float64, requires_grad=True)
    states = torch.randn(shape, generator=random, dtype=torch.float64, requires_grad=True)
    inputs = [states, vectors_VD, *routing.parameters()]

    def capsules(votes_NICX: Tensor, logits_NIC: Tensor) -> Tensor:
        return routing.scale * (logits_NIC.softmax(dim=-1)[..., None] * votes_NICX).sum(dim=1)

    logits_NIC = torch.zeros(5, 8, 8, dtype=torch.float64)
    for _ in range(rounds - 1):
        votes_NICX = votes_of(routing, states).detach()
        capsules_NCX = capsules(votes_NICX, logits_NIC).detach()
        expected_ND = (
            (routing.lengths(capsules_NCX) @ vectors_VD.T).softmax(dim=-1) @ vectors_VD
        ).detach()
        answers_NCX = torch.einsum("nd,cdx->ncx", expected_ND, routing.item_answer_CDX)
        answers_NCX = answers_NCX + torch.einsum(
            "ncy,cyx->ncx", capsules_NCX, routing.capsule_answer_CXX
        )
        logits_NIC = logits_NIC + torch.einsum("nicx,ncx->nic", votes_NICX, answers_NCX)
    slow_NC = routing.lengths(capsules(votes_of(routing, states), logits_NIC))
    fast_NC = routing(lambda _: states, vectors_VD)
    torch.testing.assert_close(fast_NC, slow_NC, atol=1e-12, rtol=0)
    weigh = torch.randn(slow_NC.shape, generator=random, dtype=torch.float64)
    slow, fast = (
        torch.autograd.grad((out * weigh).sum(), inputs, allow_unused=True)
        for out in (slow_NC, fast_NC)
    )
    for one, other in zip(slow, fast, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("padded_to", [None, 9])
def test_sequences_hold_the_steps_of_their_type(padded_to: int | None):
    """In order, close together, with an end after every step of the window; zeros before them where asked for."""
    types_BL = torch.tensor([[0, 2, 1, 2, 0, 2], [1, 1, 1, 1, 1, 1]])
    steps_BLD = torch.arange(1.0, 13.0).view(2, 6, 1)
    sequences = behavior_sequences(steps_BLD, types_BL, 3, padded_to)
    for user in range(2):
        for behavior in range(1, 4):
            for step in range(6):
                end = int(sequences.ends_BKL[user, behavior - 1, step])
                seen = (
                    steps_BLD[user, : step + 1][types_BL[user, : step + 1] == behavior]
                    .flatten()
                    .tolist()
                )
                found = sequences.steps_BKXD[user, behavior - 1, :end].flatten().tolist()
                total = int((types_BL[user] == behavior).sum())
                assert found == [0.0] * (0 if padded_to is None else padded_to - total) + seen

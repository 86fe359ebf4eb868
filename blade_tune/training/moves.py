"""How far a change of what a model reads moves it: emptied behavior sets, another told set, a shuffled order.

A model that is hardly moved by a change cannot owe its figures to what was changed, whatever its architecture promises.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.models.base import NeuralRecommender, RecommenderModel
from blade_tune.training.evaluation import Evaluator

USERS = 256  # evaluated users of the sample, if there are so many
SEED = 0  # of the sample, the shuffled orders and the dropout: every model is moved by the same changes


@torch.inference_mode()
def measure_moves(model: RecommenderModel, evaluator: Evaluator) -> dict[str, float]:
    """Return the relative change of a model's final states, or of its scores if it is fitted, for each kind of change.

    The change is the Frobenius norm of the difference over that of what is changed, on a sample of evaluated users.
    Random numbers of the caller are left as they were.

    Args:
        model: the trained model.
        evaluator: of the rows to take users from; it tells the model of the item to predict what it tells in ranking.

    Returns:
        By name: "sets" for input sets that are all emptied, "told" for the rarest behavior told in place of the set of
        the item to predict, "order" for windows whose real steps are shuffled and, of a neural model, "dropout" for
        two passes with dropout, to compare the others with. Empty if there are no users.
    """
    generator = torch.Generator().manual_seed(SEED)
    batch = evaluator.sample(USERS, generator)
    if not len(batch):
        return {}
    answer: Callable[[Batch], Tensor] = model.scores
    if isinstance(model, NeuralRecommender):
        answer = model.final_states
    was_training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(SEED)
        model.eval()
        before = answer(batch)
        moves = {
            name: relative_change(before, answer(changed))
            for name, changed in changes(batch, model.catalog, generator).items()
        }
        if isinstance(model, NeuralRecommender):
            model.train()
            moves["dropout"] = relative_change(answer(batch), answer(batch))
    model.train(was_training)
    return moves


def changes(batch: Batch, catalog: Catalog, generator: torch.Generator) -> Mapping[str, Batch]:
    """Return the changed batches that models are tried on, by name.

    Args:
        batch: users' windows.
        catalog: says which behavior is the rarest.
        generator: of the shuffled orders, on the CPU.
    """
    rarest_K = torch.zeros(catalog.num_behaviors, dtype=torch.uint8)
    rarest_K[int(catalog.behavior_counts_K.argmin())] = 1
    return {
        "sets": replace(batch, sets_BLK=torch.zeros_like(batch.sets_BLK)),
        "told": batch.with_final_target_set(rarest_K),
        "order": shuffled(batch, generator),
    }


def shuffled(batch: Batch, generator: torch.Generator) -> Batch:
    """Return a batch whose windows have their real steps in random order, items together with their sets."""
    places_BL = torch.rand(batch.items_BL.shape, generator=generator).to(batch.items_BL.device)
    # Padding keeps its places on the left.
    order_BL = torch.where(batch.real_BL, places_BL, -1.0).argsort(dim=1, stable=True)
    order_BLK = order_BL[..., None].expand_as(batch.sets_BLK)
    return replace(
        batch,
        items_BL=batch.items_BL.gather(1, order_BL),
        sets_BLK=batch.sets_BLK.gather(1, order_BLK),
    )


def relative_change(before: Tensor, after: Tensor) -> float:
    """Return the norm of a difference over the norm of what is changed; 0 where nothing is."""
    difference = (after - before).norm()
    return float(difference / before.norm()) if difference > 0 else 0.0

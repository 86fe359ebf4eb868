"""A batch computed in micro-batches on a CPU."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

import torch

from blade_tune.batch import Batch
from blade_tune.layers.embedding import EmbeddingTable
from blade_tune.models.item_table import ItemTable

T = TypeVar("T")

MICRO_BATCH_STEPS = 4_000  # docs/performance.md has the measurement
OF_ITEMS = ("items_BL", "target_items_BL", "negatives_BL", "shared_negatives_X")


def in_micro_batches(
    compute: Callable[[Batch], T],
    batch: Batch,
    items: ItemTable,
    users: Sequence[EmbeddingTable] = (),
    shortest: int = 1,
) -> list[T]:
    """Compute something for each micro-batch of a batch (see `Batch.micro_batches`).

    While a micro-batch is computed, the tables look up local rows, and its ids are places among those
    (see EmbeddingTable). On a GPU the batch is its only micro-batch and keeps its ids.

    Args:
        compute: what to do with a micro-batch.
        batch: the batch, with negatives in training.
        items: the table in which its items are looked up.
        users: the tables in which its users are looked up; without any, ids of users stay ids.
        shortest: the fewest steps that the windows of a micro-batch are cut to.

    Returns:
        What `compute` returned for each micro-batch. The order of rows is not that of the batch.
    """
    if batch.items_BL.device.type != "cpu":
        return [compute(batch)]

    # Look up all items of the batch at once, whichever field they stand in.
    fields = {name: getattr(batch, name) for name in OF_ITEMS}
    ids = {name: tensor for name, tensor in fields.items() if tensor is not None}
    local, places_N = items.gather_rows(torch.cat([tensor.flatten() for tensor in ids.values()]))

    # Put the places of the items into the fields that their ids came from.
    parts = places_N.split([tensor.numel() for tensor in ids.values()])
    places = {}
    for (name, tensor), part in zip(ids.items(), parts, strict=True):
        places[name] = part.view_as(tensor)
    placed = replace(batch, **places)

    with ExitStack() as stack:
        stack.enter_context(items.use_local(local))
        for table in users:
            local, users_B = table.gather_rows(batch.users_B)
            stack.enter_context(table.use_local(local))
            placed = replace(placed, users_B=users_B)
        micro_batches = placed.micro_batches(MICRO_BATCH_STEPS, shortest)
        return [compute(micro_batch) for micro_batch in micro_batches]

"""Batches of user histories, the tensors that every model works on, and the names of shapes.

The suffix of a tensor's name is its shape, one letter an axis:

    B users of a batch   L steps   K behaviors   D embedding   H heads   E experts   F inner width   V items
    N rows of a table    U users of a data set

X is an axis without a letter of its own, and a digit is an axis of that fixed size.

A mask is named by what True means: `real_BL` is True where a step holds an interaction.
Item 0 and user 0 are padding. A behavior set is a row of K zeros and ones, in the column order of `Catalog.behaviors`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, device


@dataclass(frozen=True)
class Batch:
    """Windows of B users: the inputs of L steps, and the next item of every step as its target.

    Windows are padded on the left, so the newest item always stands in the last column. A Batch may hold a whole data
    set; `rows`, `split` and `pieces` cut smaller ones from it. A Batch is never changed: methods return new ones.
    """

    users_B: Tensor  # int64, from 1
    items_BL: Tensor  # int64, 0 is padding
    sets_BLK: Tensor  # uint8
    target_items_BL: Tensor  # int64, 0 is padding; step l's target is the interaction after step l
    target_sets_BLK: Tensor  # uint8
    # Only in training, int64: an item for each step that the user never met, or items that all steps share
    negatives_BL: Tensor | None = None
    shared_negatives_X: Tensor | None = None

    @property
    def real_BL(self) -> Tensor:
        """Mask of the steps that hold an interaction; the others are padding."""
        return self.items_BL > 0

    @property
    def lengths_B(self) -> Tensor:
        """Number of interactions in each window."""
        return self.real_BL.sum(dim=1)

    def __len__(self) -> int:
        return len(self.users_B)

    def rows(self, index_N: Tensor) -> "Batch":
        """Return the batch of the given rows, by position or by mask."""
        return self._each(lambda value: value[index_N], shared=False)

    def split(self, size: int) -> "Iterator[Batch]":
        """Iterate over all rows in their order, as batches of `size` rows; the last one may be smaller."""
        index_B = torch.arange(len(self), device=self.users_B.device)
        return (self.rows(index_X) for index_X in index_B.split(size))

    def newest(self, length: int) -> "Batch":
        """Return this batch with each window cut to its newest `length` steps."""

        def cut(value: Tensor) -> Tensor:
            return value[:, -length:] if value.dim() > 1 else value

        return self._each(cut, shared=False)

    def micro_batches(self, size: int, shortest: int = 1) -> "list[Batch]":
        """Split all rows into smaller batches of similar length.

        Little padding is left then, and what a model computes for one of them fits into a CPU's caches. On a GPU, which
        wants large batches of one shape and no look at their content, the batch is the only micro-batch.

        Args:
            size: the most steps of a micro-batch, unless it is a single row.
            shortest: each is cut to its longest row, but to no fewer than so many steps.

        Returns:
            The micro-batches, the shortest rows first.
        """
        if self.items_BL.device.type != "cpu":
            return [self]
        order_B = self.lengths_B.argsort()
        lengths = self.lengths_B[order_B].clamp_min(shortest).tolist()

        # Begin a micro-batch where the one before would have too many steps. Rows come in ascending length, so the
        # newest one is the longest of a micro-batch so far.
        starts = [0]
        for place, length in enumerate(lengths):
            num_rows = place - starts[-1]
            if num_rows > 0 and (num_rows + 1) * length > size:
                starts.append(place)
        ends = [*starts[1:], len(lengths)]

        # Cut each to its last row, which is its longest.
        parts = []
        for start, end in zip(starts, ends, strict=True):
            part = self.rows(order_B[start:end])
            parts.append(part.newest(lengths[end - 1]))
        return parts

    def with_negatives(self, negatives_BL: Tensor) -> "Batch":
        """Return this batch with one negative item for each step."""
        return replace(self, negatives_BL=negatives_BL)

    def with_shared_negatives(self, negatives_X: Tensor) -> "Batch":
        """Return this batch with negative items that all its steps share."""
        return replace(self, shared_negatives_X=negatives_X)

    def with_final_target_set(self, set_K: Tensor) -> "Batch":
        """Return this batch with `set_K` in place of the true behavior set of each user's item to predict."""
        target_sets_BLK = self.target_sets_BLK.clone()
        target_sets_BLK[:, -1] = set_K.to(target_sets_BLK)
        return replace(self, target_sets_BLK=target_sets_BLK)

    def stacked(self, *views_BLK: Tensor) -> "Batch":
        """Return copies of this batch below each other, one for each of the given input sets, without negatives."""
        copies = len(views_BLK)
        return Batch(
            users_B=self.users_B.repeat(copies),
            items_BL=self.items_BL.repeat(copies, 1),
            sets_BLK=torch.cat(views_BLK),
            target_items_BL=self.target_items_BL.repeat(copies, 1),
            target_sets_BLK=self.target_sets_BLK.repeat(copies, 1, 1),
        )

    def to(self, target: device) -> "Batch":
        """Return this batch on another device."""
        return self._each(lambda value: value.to(target))

    def _each(self, change: Callable[[Tensor], Tensor], *, shared: bool = True) -> "Batch":
        """Apply a change to every tensor; `shared=False` spares those without an axis of users."""
        tensors = {name: value for name, value in vars(self).items() if value is not None}
        if not shared:
            tensors.pop("shared_negatives_X", None)
        changed = {name: change(value) for name, value in tensors.items()}
        return replace(self, **changed)

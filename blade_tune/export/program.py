"""A model's scores as one file that torch alone runs (torch.export), where the model allows it."""

import copy
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blade_tune.batch import Batch
from blade_tune.errors import BladeTuneError
from blade_tune.export.checksums import PROGRAM
from blade_tune.layers.embedding import UserTable
from blade_tune.models.base import RecommenderModel

# The most that a score of the program may differ from the model's, relative above 1
TOLERANCE = 1e-5
MAX_REASON = 300  # characters of torch's words that are kept


class Scoring(nn.Module):
    """The scores of a model as a function of plain tensors.

    Args:
        model: the model in evaluation mode, on the CPU.
    """

    def __init__(self, model: RecommenderModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, users_B: Tensor, items_BL: Tensor, sets_BLK: Tensor, target_BK: Tensor
    ) -> Tensor:
        """Score all items as the next one of each user.

        Args:
            users_B: int64, the number of each user in users.csv, 0 for one that is not there.
            items_BL: int64, numbers of items.csv, oldest first, with zeros before them up to `max_length` steps.
            sets_BLK: uint8, 1 for each behavior of a step, in the order of catalog.json.
            target_BK: uint8, 1 for each behavior that is hoped for.

        Returns:
            scores_BV, float32; column v is item v, and column 0 is none.
        """
        unknown_BLK = torch.zeros_like(sets_BLK[:, 1:])
        target_sets_BLK = torch.cat((unknown_BLK, target_BK[:, None]), dim=1)
        return self.model.scores(Batch(users_B, items_BL, sets_BLK, items_BL, target_sets_BLK))


@dataclass(frozen=True)
class Program:
    """The scores of a model as an exported program, or the reason that there is none."""

    content: bytes  # of the file; empty if there is none
    max_length: int  # steps of the windows that it takes
    reason: str = ""  # what torch said, if there is none

    @property
    def facts(self) -> Mapping[str, Any]:
        """Plain facts for the bundle's provenance."""
        if not self.content:
            return {"file": None, "reason": self.reason}
        return {
            "file": PROGRAM,
            "max_length": self.max_length,
            "torch": torch.__version__,
            "tolerance": TOLERANCE,
        }


def scoring_program(model: RecommenderModel) -> Program:
    """Export the scores of a model, for any number of users and windows of its `max_length`; unknown users included.

    The model is left as it is. The work takes seconds.

    Args:
        model: the model, trained or fitted.
    """
    model = copy.deepcopy(model).cpu().eval()
    for table in model.modules():
        if isinstance(table, UserTable):
            table.settle_unknown()
    # Two rows, since one would be taken for a constant
    B, L, K = 2, model.max_length, model.catalog.num_behaviors
    items_BL = torch.ones(B, L, dtype=torch.long)
    sets_BLK = torch.ones(B, L, K, dtype=torch.uint8)
    example = (torch.ones(B, dtype=torch.long), items_BL, sets_BLK, sets_BLK[:, -1].clone())
    users = {0: torch.export.Dim("users")}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Of the weights of a GRU torch warns as of attributes that would be lost; scores are compared anyway
            warnings.simplefilter("ignore")
            program = torch.export.export(
                Scoring(model), example, dynamic_shapes=(users,) * len(example), strict=False
            )
        content = io.BytesIO()
        torch.export.save(program, content)
    except BladeTuneError:  # a signal
        raise
    except Exception as error:  # torch raises errors of many classes for what it cannot export
        words = " ".join(str(error).split())[:MAX_REASON]
        return Program(b"", L, f"torch.export: {type(error).__name__}: {words}")
    return Program(content.getvalue(), L)


def check_program(path: Path, batch: Batch, scores_BV: Tensor) -> None:
    """Run a program that was written, and compare its scores with those of the model.

    Args:
        path: the file.
        batch: of known users, in windows of the model's `max_length`.
        scores_BV: the model's scores of them.

    Raises:
        BladeTuneError: a score differs by more than `TOLERANCE`.
    """
    program = torch.export.load(path).module()
    target_BK = batch.target_sets_BLK[:, -1]
    with torch.inference_mode():
        found_BV = program(batch.users_B, batch.items_BL, batch.sets_BLK, target_BK)
    if not torch.allclose(found_BV, scores_BV, rtol=TOLERANCE, atol=TOLERANCE):
        raise BladeTuneError(
            f"{PROGRAM}, read back, gives other scores than the model; nothing is exported. "
            "Export without --with-program."
        )

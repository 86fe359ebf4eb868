"""Seconds of an epoch of blade_released at its published setting: ours against a plain twin, in turn.

    python benchmarks/naive.py --data DIR

DIR holds QK-Video's split files. The twin is written as such code usually is: a loader that makes one sample after the
other in Python, every row padded to 50 steps, three separate passes, a loop over the experts, torch's own dropout, and
Adam as it comes. It trains our model's weights, and with dropout off its loss and gradients are ours
(tests/models/blade/test_naive.py). `--profile` prints where our time goes instead.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset

from blade_tune.data.store import SearchData, prepare
from blade_tune.models.blade.released import (
    BladeReleased,
    NormedAttention,
    ReleasedFeedForward,
    ReleasedIntermediateBlock,
)
from blade_tune.models.settings.blade import BladeReleasedConfig
from blade_tune.spec.definition import StudyDefinition
from blade_tune.training.config import TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Training

PUBLISHED_RHO = 0.4

# User, items, sets, two views of the sets, next items, their sets, negatives
Sample = tuple[Tensor, ...]


class Samples(Dataset[Sample]):
    """One user a sample, made of Python lists when it is asked for."""

    def __init__(self, data: SearchData, max_length: int, rho: float) -> None:
        self.max_length, self.rho, self.num_items = max_length, rho, data.num_items
        self.num_behaviors = data.catalog.num_behaviors
        self.histories: dict[int, list[tuple[int, list[int]]]] = {}
        rows = zip(
            data.train.users_N.tolist(),
            data.train.items_N.tolist(),
            data.train.sets_NK.tolist(),
            strict=True,
        )
        for user, item, behaviors in rows:
            self.histories.setdefault(user, []).append((item, behaviors))
        self.users = [user for user, history in self.histories.items() if len(history) > 1]

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, index: int) -> Sample:
        user = self.users[index]
        history = self.histories[user]
        inputs, targets = history[:-1][-self.max_length :], history[1:][-self.max_length :]
        met = {item for item, _ in history}
        negatives = [self._negative(met) for _ in targets]
        sets = [behaviors for _, behaviors in inputs]
        columns = (
            self._padded([item for item, _ in inputs], 0),
            *(
                self._padded(view, [0] * self.num_behaviors)
                for view in (sets, self._view(sets), self._view(sets))
            ),
            self._padded([item for item, _ in targets], 0),
            self._padded([behaviors for _, behaviors in targets], [0] * self.num_behaviors),
            self._padded(negatives, 0),
        )
        return torch.tensor(user), *map(torch.tensor, columns)

    def _padded(self, values: list, padding: object) -> list:
        return [padding] * (self.max_length - len(values)) + values

    def _negative(self, met: set[int]) -> int:
        item = random.randint(1, self.num_items)
        while item in met:
            item = random.randint(1, self.num_items)
        return item

    def _view(self, sets: list[list[int]]) -> list[list[int]]:
        """A copy with chosen steps visited; the published operator changes none of them."""
        view = [list(behaviors) for behaviors in sets]
        for step in random.sample(range(len(view)), int(self.rho * len(view))):
            view[step] = list(view[step])
        return view


class PlainBladeReleased:
    """The losses of a BladeReleased, computed step by step from its weights."""

    def __init__(self, model: BladeReleased) -> None:
        self.model = model

    def losses(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """The next-item loss and lambda times the contrastive loss."""
        (
            users_B,
            items_BL,
            sets_BLK,
            first_BLK,
            second_BLK,
            targets_BL,
            target_sets_BLK,
            negatives_BL,
        ) = sample
        states_BLD = self.encode(users_B, items_BL, sets_BLK, target_sets_BLK)
        first_BLD = self.encode(users_B, items_BL, first_BLK, target_sets_BLK)
        second_BLD = self.encode(users_B, items_BL, second_BLK, target_sets_BLK)

        real_BL = (items_BL > 0).float()
        positive_BL = (states_BLD * self.model.items(targets_BL)).sum(-1)
        negative_BL = (states_BLD * self.model.items(negatives_BL)).sum(-1)
        bce_BL = -functional.logsigmoid(positive_BL) - functional.logsigmoid(-negative_BL)
        weights_BL = target_sets_BLK.float().mean(-1) * real_BL
        next_loss = (bce_BL * weights_BL).sum() / weights_BL.sum()

        views_XD = functional.normalize(
            torch.cat((first_BLD.flatten(1), second_BLD.flatten(1))), dim=1
        )
        logits_XX = views_XD @ views_XD.T / self.model.config.tau
        logits_XX = logits_XX.masked_fill(torch.eye(len(views_XD), dtype=torch.bool), float("-inf"))
        labels_X = torch.cat(
            (torch.arange(len(users_B)) + len(users_B), torch.arange(len(users_B)))
        )
        return next_loss, self.model.config.lambda_ * functional.cross_entropy(logits_XX, labels_X)

    def encode(
        self, users_B: Tensor, items_BL: Tensor, sets_BLK: Tensor, target_sets_BLK: Tensor
    ) -> Tensor:
        """The user states of one pass."""
        model, L = self.model, items_BL.shape[1]
        allow_BLL = torch.tril(torch.ones(L, L, dtype=torch.bool)) & (items_BL > 0)[:, None, :]
        mask_B1LL = torch.where(allow_BLL, 0.0, -1e5)[:, None]
        behaviors_BLD = self.embed(users_B, sets_BLK)
        items_BLD = model.items(items_BL) * model.items.embedding_dim**0.5
        positions_LD = model.positions(torch.arange(L))
        early_BLD = self.drop(
            model.fusion(items_BLD, behaviors_BLD) + positions_LD, model.config.early_dropout
        )
        late_BLD = self.drop(items_BLD + positions_LD, model.config.dropout)
        for block in model.early_blocks:
            attended_BLD = self.attend(
                block.attention, early_BLD, early_BLD, mask_B1LL, model.config.early_dropout
            )
            early_BLD = block.attention_norm(early_BLD + attended_BLD)
            early_BLD = self.feed_forward(block.feed_forward, early_BLD, model.config.early_dropout)
            early_BLD = block.feed_forward_norm(early_BLD)
        for block in model.intermediate_blocks:
            attended_BLD = self.attend(
                block.attention, late_BLD, late_BLD, mask_B1LL, model.config.dropout
            )
            late_BLD = block.attention_norm(late_BLD + attended_BLD)
            late_BLD = block.experts_norm(late_BLD + self.mix(block, late_BLD, behaviors_BLD))
        fused_BLD = model.config.alpha * late_BLD + (1 - model.config.alpha) * early_BLD
        targets_BLD = self.embed(users_B, target_sets_BLK)
        states_BLD = self.attend(
            model.cross, targets_BLD, fused_BLD, mask_B1LL, model.config.dropout
        )
        return model.feed_forward_norm(
            self.feed_forward(model.feed_forward, states_BLD, model.config.dropout)
        )

    def embed(self, users_B: Tensor, sets_BLK: Tensor) -> Tensor:
        """Behavior sets as vectors."""
        factors_B1K = self.model.sets.user_factors(users_B).unsqueeze(1)
        return (
            functional.softmax(factors_B1K * sets_BLK.float(), dim=-1)
            @ self.model.sets.behaviors.weight
        )

    def attend(
        self,
        part: NormedAttention,
        queries_BLD: Tensor,
        keys_BLD: Tensor,
        mask_B1LL: Tensor,
        rate: float,
    ) -> Tensor:
        """Attention by the book, residual, norm."""
        attention, (B, L, D) = part.attention, queries_BLD.shape
        shape = (B, L, attention.num_heads, D // attention.num_heads)
        query_BHLX = attention.query(queries_BLD).view(shape).transpose(1, 2)
        key_BHLX = attention.key(keys_BLD).view(shape).transpose(1, 2)
        value_BHLX = attention.value(keys_BLD).view(shape).transpose(1, 2)
        scores_BHLL = query_BHLX @ key_BHLX.transpose(-1, -2) / shape[-1] ** 0.5 + mask_B1LL
        weights_BHLL = self.drop(functional.softmax(scores_BHLL, dim=-1), rate)
        attended_BLD = attention.output(
            (weights_BHLL @ value_BHLX).transpose(1, 2).reshape(B, L, D)
        )
        return part.norm(self.drop(attended_BLD, rate) + queries_BLD)

    def feed_forward(self, part: ReleasedFeedForward, states_BLD: Tensor, rate: float) -> Tensor:
        """e(r) = r + drop(gelu(drop(r W1 + b1)) W2 + b2)."""
        inner_BLD = functional.gelu(self.drop(part.expand(states_BLD), rate))
        return states_BLD + self.drop(part.contract(inner_BLD), rate)

    def mix(
        self, block: ReleasedIntermediateBlock, states_BLD: Tensor, behaviors_BLD: Tensor
    ) -> Tensor:
        """One expert after the other."""
        gates_BLE = functional.softmax(block.router(behaviors_BLD), dim=-1)
        experts, mixed_BLD = block.experts, torch.zeros_like(states_BLD)
        for e in range(gates_BLE.shape[-1]):
            inner_BLF = states_BLD @ experts.expand_EDF[e] + experts.expand_bias_EF[e]
            inner_BLF = functional.gelu(self.drop(inner_BLF, experts.inner_dropout))
            output_BLD = inner_BLF @ experts.contract_EFD[e] + experts.contract_bias_ED[e]
            output_BLD = states_BLD + self.drop(output_BLD, experts.output_dropout)
            mixed_BLD = mixed_BLD + gates_BLE[..., e : e + 1] * output_BLD
        return mixed_BLD

    def drop(self, states: Tensor, rate: float) -> Tensor:
        """torch's dropout."""
        return functional.dropout(states, rate, self.model.training)


def naive_epochs(data: SearchData, training: Training, rho: float) -> Iterator[float]:
    """Seconds of one epoch after the other of the twin, which goes on with the training's model."""
    samples = Samples(data, training.model.max_length, rho)
    loader = DataLoader(samples, batch_size=training.config.batch_size, shuffle=True)
    plain = PlainBladeReleased(training.model)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(training.model.parameters(), lr=training.config.learning_rate)
    training.model.train()
    while True:
        start = time.perf_counter()
        for sample in loader:
            loss = sum(plain.losses(sample))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        yield time.perf_counter() - start


def our_epochs(training: Training) -> Iterator[float]:
    """Seconds of one epoch after the other of ours."""
    while True:
        start = time.perf_counter()
        training.train_epoch()
        yield time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of QK-Video's split files")
    parser.add_argument(
        "--epochs", type=int, default=3, help="of each, after one of ours that is not counted"
    )
    parser.add_argument(
        "--profile", action="store_true", help="print where the time of one of our epochs goes"
    )
    options = parser.parse_args()
    definition = StudyDefinition.load("qk-video-released")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as root:
        data = prepare(definition.data, options.data, Path(root))
        # Whose defaults are the published setting
        model = BladeReleased(BladeReleasedConfig(), data.catalog)
        place = DeviceData.for_search(
            data, model.max_length, definition.objective, torch.device("cpu")
        )
        training = Training(
            model, place.windows, place.negatives, TrainConfig(batch_size=1024), "ndcg@10"
        )
        ours = our_epochs(training)
        next(ours)
        if options.profile:
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                next(ours)
            print(
                profiled.key_averages().table(
                    sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=48
                )
            )
            return
        naive = naive_epochs(data, training, PUBLISHED_RHO)
        pairs = []
        print(
            f"torch {torch.__version__}, {torch.get_num_threads()} threads\n\n| epoch | twin, s | ours, s | ratio |"
        )
        print("|---|---|---|---|")
        for epoch in range(1, options.epochs + 1):
            twin_s, our_s = next(naive), next(ours)
            pairs.append((twin_s, our_s))
            print(f"| {epoch} | {twin_s:.1f} | {our_s:.1f} | {twin_s / our_s:.1f} |", flush=True)
        medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
        ratio = statistics.median(twin / own for twin, own in pairs)
        print(f"| median | {medians[0]:.1f} | {medians[1]:.1f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()

"""Ways to train BLADE on a GPU; benchmarks/gpu.py starts a process of this for each that it measures."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from blade_tune import losses
from blade_tune.batch import Batch
from blade_tune.data.config import data_config
from blade_tune.data.sequences import Windows
from blade_tune.data.store import SearchData, prepare
from blade_tune.kernels.gram import plain_gram
from blade_tune.layers import attention, dropout, experts
from blade_tune.models.blade import model as blade
from blade_tune.models.blade.model import Blade
from blade_tune.models.settings.blade import BladeConfig
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.negatives import NegativeSampler

TRIAL_EPOCHS = 100
WARM_UP = 3  # steps on a side stream before a graph is recorded
CHECKED = 3  # steps whose losses are compared

Step = Callable[[Tensor], Tensor]  # rows -> losses, one a model
Draw = Callable[[Tensor], Batch]  # rows -> training batch


@dataclass(frozen=True)
class Way:
    """How to train."""

    compiled: bool = False
    graph: bool = False
    half: bool = False
    packed: int = 0  # models; 0 is one model without vmap

    def __str__(self) -> str:
        words = [f"{self.packed} packed"] if self.packed else []
        words += [word for word in ("compiled", "graph", "half") if getattr(self, word)] or [
            "plain"
        ]
        return ", ".join(words).replace("half", "bfloat16 blocks").replace("graph", "CUDA graph")


@dataclass(frozen=True)
class Setup:
    """What all trainings have in common."""

    data: SearchData
    device: torch.device
    model: dict[str, Any]  # its Config, as far as it is fixed

    def build(self, setting: "Setting") -> Blade:
        given = {
            name: value
            for name, value in asdict(setting).items()
            if name not in ("learning_rate", "seed")
        }
        torch.manual_seed(setting.seed)
        config = BladeConfig(**self.model, **given, augmentation="flip")
        return Blade(config, self.data.catalog).to(self.device)


@dataclass(frozen=True)
class Setting:
    """What trials of one shape differ in."""

    alpha: float
    lambda_: float
    rho: float
    dropout: float
    learning_rate: float
    seed: int


def lone(setup: Setup, way: Way, setting: Setting, draw: Draw) -> Step:
    """The training step of one model."""
    model = setup.build(setting)
    if way.half:
        model.encode = partial(half_encode, model.encode)
    terms = torch.compile(model.losses, dynamic=False) if way.compiled else model.losses
    optimizer = torch.optim.Adam(
        model.parameters(), lr=setting.learning_rate, fused=True, capturable=way.graph
    )

    def step(rows_B: Tensor) -> Tensor:
        total = torch.stack(tuple(terms(draw(rows_B)).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return total.detach()[None]

    return graphed(step) if way.graph else step


def half_encode(
    encode: Callable[[Batch], tuple[Tensor, Tensor]], batch: Batch
) -> tuple[Tensor, ...]:
    """The blocks under autocast; scores and contrastive logits are computed from float32."""
    with torch.autocast(batch.items_BL.device.type, torch.bfloat16, cache_enabled=False):
        return tuple(states.float() for states in encode(batch))


def graphed(step: Step) -> Step:
    """The step as one CUDA graph for each number of rows."""
    recorded: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def record(rows: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        rows = rows.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                step(rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses_P = step(rows)
        return graph, rows, losses_P

    def replay(rows: Tensor) -> Tensor:
        if rows.shape[-1] not in recorded:
            recorded[rows.shape[-1]] = record(rows)
        graph, static, losses_P = recorded[rows.shape[-1]]
        static.copy_(rows)
        graph.replay()
        return losses_P

    return replay


class Losses(nn.Module):
    """A model whose losses are its forward pass."""

    def __init__(self, model: Blade) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.model.losses(batch)


def packed(setup: Setup, way: Way, settings: Sequence[Setting], draw: Draw) -> Step:
    """The step of several models at once; rows are (models, B)."""
    make_mappable()
    modules = [Losses(setup.build(setting)) for setting in settings]
    params, buffers = torch.func.stack_module_state(modules)
    # Vmap differentiates, autograd shall not
    params = {name: weights.detach() for name, weights in params.items()}
    module = modules[0]
    config = module.model.config.model_dump()
    if way.half:
        module.model.encode = partial(half_encode, module.model.encode)
    given = {
        name: torch.tensor([getattr(each, name) for each in settings], device=setup.device)
        for name in vars(settings[0])
    }
    update = adam(params, given["learning_rate"])

    def loss(params: Any, buffers: Any, given: dict[str, Tensor], *columns: Tensor) -> Tensor:
        module.model.config = SimpleNamespace(**{**config, "alpha": given["alpha"], "lambda_": 1.0})
        module.model.views.rho = given["rho"]
        for part in module.modules():
            if isinstance(part, dropout.Dropout):
                part.rate = given["dropout"]
            elif isinstance(part, attention.MultiHeadAttention):
                part.dropout = given["dropout"]
        terms = torch.func.functional_call(module, (params, buffers), (Batch(*columns),))
        return terms["next"] + given["lambda_"] * terms["contrastive"]

    gradients = torch.vmap(torch.func.grad_and_value(loss), randomness="different")

    def step(rows_PB: Tensor) -> Tensor:
        columns = [
            column for column in vars(draw(rows_PB.flatten())).values() if column is not None
        ]
        each = (column.unflatten(0, rows_PB.shape) for column in columns)
        grads, losses_P = gradients(params, buffers, given, *each)
        update(grads)
        return losses_P

    return graphed(step) if way.graph else step


def make_mappable() -> None:
    """What vmap can follow: dropout by a rate that is a tensor, and no autograd function of our own."""

    def drop(states: Tensor, rate: Any, training: bool = True) -> Tensor:
        if isinstance(rate, float) or not training:
            return states  # the rates of the experts, which are 0
        return states * (torch.rand_like(states) >= rate) / (1.0 - rate)

    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, rate: Any) -> Tensor:
        weights = (query @ key.transpose(-1, -2) * value.shape[-1] ** -0.5 + mask).softmax(dim=-1)
        return drop(weights, rate) @ value

    dropout.dropout = experts.dropout = drop
    attention.attend = attend
    losses.gram = plain_gram


def leave_out_cpu_ways() -> None:
    """What a model does on a CPU only is nothing that vmap or a compiler can follow."""
    blade.in_micro_batches = lambda compute, batch, *_: [compute(batch)]


def adam(params: dict[str, Tensor], rates_P: Tensor) -> Callable[[dict[str, Tensor]], None]:
    """Adam in place, each model with its own learning rate."""
    weights = list(params.values())
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    rates = [-rates_P.view(-1, *[1] * (weight.dim() - 1)) for weight in weights]
    powers = torch.ones(2, device=rates_P.device)
    betas = torch.tensor([0.9, 0.999], device=rates_P.device)

    @torch.no_grad()
    def update(grads: dict[str, Tensor]) -> None:
        given = [grads[name] for name in params]
        powers.mul_(betas)
        torch._foreach_lerp_(first, given, 0.1)
        torch._foreach_mul_(second, 0.999)
        torch._foreach_addcmul_(second, given, given, 0.001)
        scales = torch._foreach_div(second, 1.0 - powers[1])
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, 1e-8)
        changes = torch._foreach_div(first, scales)
        torch._foreach_mul_(changes, rates)
        torch._foreach_div_(changes, 1.0 - powers[0])
        torch._foreach_add_(weights, changes)

    return update


def settings_of(count: int, checked: bool) -> list[Setting]:
    """Different trials; to be checked without anything random: no dropout, and every step is flipped."""
    rho, rate = (1.0, 0.0) if checked else (0.5, 0.3)
    return [
        Setting(i / max(1, count - 1), 0.1 + 0.1 * i, rho, rate, 1e-3 * (1 + i), i)
        for i in range(count)
    ]


def step_of(setup: Setup, way: Way, draw: Draw, checked: bool = False) -> Step:
    settings = settings_of(max(1, way.packed), checked)
    if way.packed:
        return packed(setup, way, settings, draw)
    return lone(setup, way, settings[0], draw)


def difference(setup: Setup, way: Way, windows: Windows, rows_B: Tensor) -> float:
    """The largest relative difference of a loss, over a few steps on the same rows, from that of plain lone models."""

    def draw(rows_B: Tensor) -> Batch:
        batch = windows.rows(rows_B)
        return batch.with_negatives(
            (batch.target_items_BL + 1) % setup.data.num_items * batch.real_BL
        )

    settings = settings_of(max(1, way.packed), checked=True)
    before = WARM_UP if way.graph else 0
    plain = [lone(setup, Way(), setting, draw) for setting in settings]
    expected_SP = torch.stack(
        [torch.cat([step(rows_B) for step in plain]) for _ in range(before + CHECKED)]
    )[before:]
    step = step_of(setup, way, draw, checked=True)
    given = rows_B.expand(way.packed, -1) if way.packed else rows_B
    seen_SP = torch.stack([step(given).clone() for _ in range(CHECKED)])
    return float(((seen_SP - expected_SP) / expected_SP).abs().max())


def work(options: argparse.Namespace) -> None:
    """Check a way, say that it is ready, wait for the word, and train for a while; all figures are one JSON line."""
    way, device = Way(**options.way), options.device
    if way.graph and device.type != "cuda":
        raise SystemExit("CUDA graphs need a GPU")
    if way.packed or way.compiled:
        leave_out_cpu_ways()
    data = prepare(data_config(options.data_config, "data"), options.data, options.results)
    setup = Setup(data, device, options.model)
    length = BladeConfig(**options.model).max_length
    device_data = DeviceData.for_search(data, length, EvaluationConfig(), device)
    windows: Windows = device_data.windows
    rows_U = windows.lengths_U.nonzero()[:, 0]
    differs = difference(setup, way, windows, rows_U[: options.batch_size])
    step = step_of(setup, way, partial(draw_batch, windows, device_data.negatives))
    models = max(1, way.packed)

    def epoch() -> float:
        start = time.perf_counter()
        orders_PU = torch.stack(
            [rows_U[torch.randperm(len(rows_U), device=device)] for _ in range(models)]
        )
        steps = [
            step(rows if way.packed else rows[0])
            for rows in orders_PU.split(options.batch_size, dim=1)
        ]
        torch.stack(steps).cpu()
        return time.perf_counter() - start

    epoch(), epoch()
    print("ready", flush=True)
    sys.stdin.readline()
    seconds, end = [epoch()], time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        seconds.append(epoch())
    taken = torch.cuda.max_memory_reserved() / 2**30 if device.type == "cuda" else 0.0
    per_hour = models * 3600 * len(seconds) / sum(seconds) / TRIAL_EPOCHS
    print(
        json.dumps(
            {
                "epoch_s": statistics.median(seconds),
                "differs": differs,
                "gib": taken,
                "per_hour": per_hour,
            }
        )
    )


def draw_batch(windows: Windows, negatives: NegativeSampler, rows_B: Tensor) -> Batch:
    batch = windows.rows(rows_B)
    return batch.with_negatives(negatives.draw(batch.users_B, batch.items_BL.shape[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = {
        "way": json.loads,
        "data-config": json.loads,
        "data": Path,
        "results": Path,
        "model": json.loads,
    }
    kinds |= {"device": torch.device, "batch-size": int, "seconds": float}
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind)
    work(parser.parse_args())


if __name__ == "__main__":
    main()

"""BLADE again, as section 3 of the paper reads: plain Python, one user, one step, one behavior at a time; no dropout.

Takes the weights as {name: nested lists}; see tests/layers/twins.py.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

from blade_tune.models.settings.blade import BladeConfig
from tests.layers.twins import (
    Vector,
    Weights,
    attention,
    dot,
    experts,
    feed_forward,
    fuse,
    layer_norm,
    linear,
    part,
    plus,
    set_embedding,
    softmax,
    times,
)


@dataclass
class Row:
    """One user's window."""

    user: int
    items: list[int]
    sets: list[list[int]]
    target_items: list[int]
    target_sets: list[list[int]]
    negatives: list[int]

    @property
    def real(self) -> list[bool]:
        return [item > 0 for item in self.items]


def encode(w: Weights, config: BladeConfig, row: Row) -> tuple[list[Vector], list[Vector]]:
    """The user states U and the fused states before cross-attention."""
    scale = sqrt(config.embedding_size) if config.init == "xavier" else 1.0
    items = [times(scale, w["items.weight"][item]) for item in row.items]
    positions = w["positions.weight"]
    behaviors = [
        set_embedding(part(w, "sets"), row.user, present, config.set_softmax)
        for present in row.sets
    ]
    targets = [
        set_embedding(part(w, "sets"), row.user, present, config.set_softmax)
        for present in row.target_sets
    ]

    early = [
        plus(fuse(part(w, "fusion"), config.fusion, item, behavior), position)
        for item, behavior, position in zip(items, behaviors, positions, strict=True)
    ]
    intermediate = [plus(item, position) for item, position in zip(items, positions, strict=True)]
    for i in range(config.num_blocks):
        early = early_block(part(w, f"early_blocks.{i}"), config, early, row.real)
        intermediate = intermediate_block(
            part(w, f"intermediate_blocks.{i}"), config, intermediate, behaviors, row.real
        )
    fused = [
        plus(times(config.alpha, o), times(1 - config.alpha, f))
        for o, f in zip(intermediate, early, strict=True)
    ]
    return cross_block(part(w, "cross"), config, targets, fused, row.real), fused


def early_block(
    w: Weights, config: BladeConfig, states: list[Vector], real: list[bool]
) -> list[Vector]:
    attended = attention(part(w, "attention"), states, states, real, config.num_heads)
    return [feed_forward_block(w, config, x, a) for x, a in zip(states, attended, strict=True)]


def intermediate_block(
    w: Weights, config: BladeConfig, states: list[Vector], behaviors: list[Vector], real: list[bool]
) -> list[Vector]:
    attended = attention(part(w, "attention"), states, states, real, config.num_heads, behaviors)
    outputs = []
    for x, a, behavior in zip(states, attended, behaviors, strict=True):
        r = layer_norm(part(w, "attention_norm"), plus(x, a), config.layer_norm_eps)
        gates = softmax(linear(part(w, "router"), behavior))
        mixed = experts(part(w, "experts"), r, gates)
        outputs.append(layer_norm(part(w, "experts_norm"), plus(r, mixed), config.layer_norm_eps))
    return outputs


def cross_block(
    w: Weights, config: BladeConfig, targets: list[Vector], fused: list[Vector], real: list[bool]
) -> list[Vector]:
    attended = attention(part(w, "attention"), targets, fused, real, num_heads=1)
    residual = targets if config.cross_residual == "query" else fused
    return [feed_forward_block(w, config, x, a) for x, a in zip(residual, attended, strict=True)]


def feed_forward_block(
    w: Weights, config: BladeConfig, residual: Vector, attended: Vector
) -> Vector:
    """LN(a + FFN(a)), a = LN(residual + attended)."""
    a = layer_norm(part(w, "attention_norm"), plus(residual, attended), config.layer_norm_eps)
    transformed = feed_forward(part(w, "feed_forward"), a)
    return layer_norm(part(w, "feed_forward_norm"), plus(a, transformed), config.layer_norm_eps)


def next_item_loss(w: Weights, config: BladeConfig, rows: list[Row]) -> float:
    """Richness-weighted binary cross-entropy over the number of real targets."""
    total, count = 0.0, 0
    for row in rows:
        states, _ = encode(w, config, row)
        for step in range(len(row.items)):
            if not row.real[step]:
                continue
            positive = dot(states[step], w["items.weight"][row.target_items[step]])
            negative = dot(states[step], w["items.weight"][row.negatives[step]])
            target_set = row.target_sets[step]
            weight = sum(target_set) / len(target_set) if config.richness_weight else 1.0
            total += weight * (-log(sigmoid(positive)) - log(1 - sigmoid(negative)))
            count += 1
    return total / count


def view(w: Weights, config: BladeConfig, row: Row) -> Vector:
    """The states of all steps in one vector, padding as zeros."""
    states, fused = encode(w, config, row)
    contrasted = states if config.contrast_on == "user" else fused
    return [
        number
        for x, real in zip(contrasted, row.real, strict=True)
        for number in times(float(real), x)
    ]


def contrastive_loss(
    first: list[Vector], second: list[Vector], similarity: str, tau: float
) -> float:
    """The mean over both views of -log of the other view's share among all rows but oneself."""
    views = first + second
    losses = []
    for i, anchor in enumerate(views):
        partner = (i + len(first)) % len(views)
        alike = {
            j: exp(_similarity(anchor, other, similarity) / tau)
            for j, other in enumerate(views)
            if j != i
        }
        losses.append(-log(alike[partner] / sum(alike.values())))
    return sum(losses) / len(losses)


def _similarity(a: Vector, b: Vector, similarity: str) -> float:
    if similarity == "cosine":
        return dot(a, b) / sqrt(dot(a, a) * dot(b, b))
    return dot(a, b) / len(a)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))

"""The equations of the layers again, in plain Python and as slow as they read.

A vector is a list of floats, a sequence a list of vectors, one user at a time. Weights are {name: nested lists} under
the names of the module's state_dict; a Linear's weight has one row an output.
"""

from math import erf, exp, sqrt
from typing import Any

from torch import nn

Vector = list[float]
Weights = dict[str, Any]


def weights_of(module: nn.Module) -> Weights:
    return {name: tensor.tolist() for name, tensor in module.state_dict().items()}


def part(w: Weights, name: str) -> Weights:
    return {
        key.removeprefix(f"{name}."): value
        for key, value in w.items()
        if key.startswith(f"{name}.")
    }


def plus(*vectors: Vector) -> Vector:
    return [sum(numbers) for numbers in zip(*vectors, strict=True)]


def times(factor: float, x: Vector) -> Vector:
    return [factor * number for number in x]


def dot(a: Vector, b: Vector) -> float:
    return sum(i * j for i, j in zip(a, b, strict=True))


def weighted_sum(shares: Vector, vectors: list[Vector]) -> Vector:
    return plus(*(times(share, x) for share, x in zip(shares, vectors, strict=True)))


def softmax(logits: Vector) -> Vector:
    powers = [exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def relu(x: Vector) -> Vector:
    return [max(0.0, number) for number in x]


def gelu(x: Vector) -> Vector:
    return [number * (1 + erf(number / sqrt(2))) / 2 for number in x]


def linear(w: Weights, x: Vector) -> Vector:
    products = [dot(row, x) for row in w["weight"]]
    return plus(products, w["bias"]) if "bias" in w else products


def layer_norm(w: Weights, x: Vector, eps: float) -> Vector:
    mean = sum(x) / len(x)
    variance = sum((number - mean) ** 2 for number in x) / len(x)
    normal = [(number - mean) / sqrt(variance + eps) for number in x]
    return [
        scale * number + shift
        for scale, number, shift in zip(w["weight"], normal, w["bias"], strict=True)
    ]


def feed_forward(w: Weights, x: Vector) -> Vector:
    """gelu(x W1 + b1) W2 + b2."""
    return linear(part(w, "contract"), gelu(linear(part(w, "expand"), x)))


def experts(w: Weights, x: Vector, gates: Vector) -> Vector:
    """sum_i gate_i e_i(x), one expert after the other."""
    outputs = []
    for i in range(len(gates)):
        expand = {
            "weight": [list(row) for row in zip(*w["expand_EDF"][i], strict=True)],
            "bias": w["expand_bias_EF"][i],
        }
        contract = {
            "weight": [list(row) for row in zip(*w["contract_EFD"][i], strict=True)],
            "bias": w["contract_bias_ED"][i],
        }
        outputs.append(linear(contract, gelu(linear(expand, x))))
    return weighted_sum(gates, outputs)


def set_embedding(w: Weights, user: int, present: list[int], set_softmax: str) -> Vector:
    """softmax(f_u * b) G over all behaviors, or over the present ones."""
    factors, behaviors = w["user_factors.weight"][user], w["behaviors.weight"]
    logits = [factor * bit for factor, bit in zip(factors, present, strict=True)]
    members = [k for k, bit in enumerate(present) if bit or set_softmax == "all"]
    if not members:
        return times(0.0, behaviors[0])
    return weighted_sum(softmax([logits[k] for k in members]), [behaviors[k] for k in members])


def fuse(w: Weights, fusion: str, item: Vector, behavior: Vector) -> Vector:
    """f(E, B): their sum; a Linear of both; or attention over the two."""
    if fusion == "sum":
        return plus(item, behavior)
    if fusion == "concat":
        return linear(part(w, "project"), item + behavior)
    logits = [
        linear(part(w, "score.2"), relu(linear(part(w, "score.0"), x)))[0] for x in (item, behavior)
    ]
    return weighted_sum(softmax(logits), [item, behavior])


def may_look(real: list[bool], step: int) -> list[int]:
    """The steps that `step` attends to: real ones up to itself, and itself in any case."""
    return [m for m in range(len(real)) if (m <= step and real[m]) or m == step]


def attention(
    w: Weights,
    queries: list[Vector],
    keys: list[Vector],
    real: list[bool],
    num_heads: int,
    behaviors: list[Vector] | None = None,
) -> list[Vector]:
    """Multi-head attention, head after head; with `behaviors`, the sum of two score matrices (BASA)."""
    q = [linear(part(w, "query"), x) for x in queries]
    k = [linear(part(w, "key"), x) for x in keys]
    v = [linear(part(w, "value"), x) for x in keys]
    if behaviors is not None:
        behavior_q = [linear(part(w, "behavior_query"), x) for x in behaviors]
        behavior_k = [linear(part(w, "behavior_key"), x) for x in behaviors]
    width = len(queries[0]) // num_heads
    outputs = []
    for step in range(len(queries)):
        seen = may_look(real, step)
        heads: Vector = []
        for h in range(num_heads):
            head = slice(h * width, (h + 1) * width)
            scores = [dot(q[step][head], k[m][head]) for m in seen]
            if behaviors is not None:
                scores = plus(
                    scores, [dot(behavior_q[step][head], behavior_k[m][head]) for m in seen]
                )
            shares = softmax(times(1 / sqrt(width), scores))
            heads += weighted_sum(shares, [v[m][head] for m in seen])
        outputs.append(linear(part(w, "output"), heads))
    return outputs

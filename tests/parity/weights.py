"""Reads fixtures, and renames the weights of others to ours."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FIXTURES = Path(__file__).parent / "fixtures"
Weights = dict[str, Tensor]


def fixture(name: str) -> dict[str, Any]:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def as_tensor(numbers: Any) -> Tensor:
    """A float64 tensor from nested lists, or from {shape, values}."""
    if isinstance(numbers, dict):
        return torch.tensor(numbers["values"], dtype=torch.float64).reshape(numbers["shape"])
    return torch.tensor(numbers, dtype=torch.float64)


def assert_same(ours: Tensor, theirs: Any) -> None:
    torch.testing.assert_close(ours.detach(), as_tensor(theirs), atol=1e-8, rtol=0)


def renamed(params: dict[str, Any], names: dict[str, str]) -> Weights:
    """Modules of others under our names, `names` being {ours: theirs}."""
    return {
        f"{our_name}.{kind}": _squeezed(as_tensor(params[f"{their_name}.{kind}"]))
        for our_name, their_name in names.items()
        for kind in ("weight", "bias")
        if f"{their_name}.{kind}" in params
    }


def _squeezed(weight: Tensor) -> Tensor:
    """A convolution over one step is a Linear."""
    return weight.squeeze(-1) if weight.ndim == 3 else weight


def from_torch_attention(params: dict[str, Any]) -> Weights:
    """torch.nn.MultiheadAttention keeps query, key and value in one matrix."""
    weights = as_tensor(params["in_proj_weight"]).chunk(3)
    biases = as_tensor(params["in_proj_bias"]).chunk(3)
    names = ("query", "key", "value")
    stacked = {f"{name}.weight": weight for name, weight in zip(names, weights, strict=True)}
    stacked |= {f"{name}.bias": bias for name, bias in zip(names, biases, strict=True)}
    return stacked | renamed(params, {"output": "out_proj"})


def from_blade_release(params: dict[str, Any], config: dict[str, Any]) -> Weights:
    """The state of `BladeReleased`; their behavior table has an unused row 0, their router is transposed."""
    names = {"items": "item_emb", "positions": "pos_emb", "sets.user_factors": "user_factors"}
    names |= _normed_attention("cross", "cross_attention.cross")
    names |= _feed_forward("", "cross_attention.ffn")
    names |= {
        "concat": {
            "fusion.project.0": "early_fusion.fusion_layer.fc1",
            "fusion.project.2": "early_fusion.fusion_layer.fc2",
        },
        "gate": {
            "fusion.score.0": "early_fusion.fusion_layer.projection.0",
            "fusion.score.2": "early_fusion.fusion_layer.projection.2",
        },
        "sum": {},
    }[config["early_fusion_type"]]
    for i in range(config["transformer_num_blocks"]):
        ours, theirs = f"early_blocks.{i}", f"early_fusion.transformer.seqs_blocks.{i}"
        names |= _normed_attention(f"{ours}.attention", f"{theirs}.attn")
        names |= _feed_forward(f"{ours}.", f"{theirs}.ffn")
        names |= {f"{ours}.attention_norm": f"{theirs}.ln1"}
    for i in range(config["num_blocks"]):
        ours, theirs = f"intermediate_blocks.{i}", f"moe_encoder.seqs_blocks.{i}"
        names |= _normed_attention(f"{ours}.attention", f"{theirs}.attn")
        names |= {
            f"{ours}.attention_norm": f"{theirs}.ln1",
            f"{ours}.experts_norm": f"{theirs}.ln2",
        }
    weights = renamed(params, names)
    weights["sets.behaviors.weight"] = as_tensor(params["behavior_emb.weight"])[1:]
    for i in range(config["num_blocks"]):
        ours, theirs = f"intermediate_blocks.{i}", f"moe_encoder.seqs_blocks.{i}.moe"
        weights[f"{ours}.router.weight"] = as_tensor(params[f"{theirs}.gate.weight"]).T
        weights |= _experts(
            f"{ours}.experts",
            params,
            [f"{theirs}.experts.{e}" for e in range(config["num_experts"])],
        )
    return weights


def _normed_attention(ours: str, theirs: str) -> dict[str, str]:
    names = {"query": "Q", "key": "K", "value": "V", "output": "FCL"}
    inner = {
        f"{ours}.attention.{our_name}": f"{theirs}.{their_name}"
        for our_name, their_name in names.items()
    }
    return inner | {f"{ours}.norm": f"{theirs}.final_layer_norm"}


def _feed_forward(ours: str, theirs: str) -> dict[str, str]:
    return {
        f"{ours}feed_forward.expand": f"{theirs}.ffn.conv1",
        f"{ours}feed_forward.contract": f"{theirs}.ffn.conv2",
        f"{ours}feed_forward_norm": f"{theirs}.layernorm",
    }


def _experts(ours: str, params: dict[str, Any], theirs: list[str]) -> Weights:
    """Experts of their own, stacked; a Linear's weight has one row an output, ours one row an input."""

    def stacked(name: str) -> Tensor:
        return torch.stack([_squeezed(as_tensor(params[f"{expert}.{name}"])) for expert in theirs])

    return {
        f"{ours}.expand_EDF": stacked("conv1.weight").mT,
        f"{ours}.expand_bias_EF": stacked("conv1.bias"),
        f"{ours}.contract_EFD": stacked("conv2.weight").mT,
        f"{ours}.contract_bias_ED": stacked("conv2.bias"),
    }

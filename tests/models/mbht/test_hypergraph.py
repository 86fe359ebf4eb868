"""Hypergraphs of sequences against their slow twins."""

from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.models.mbht.hypergraph import ItemMetric, fill_hidden, propagation
from tests.layers.twins import Vector, dot, plus, times

HIDDEN = 9  # an id that stands for [MASK]
SEQUENCES = st.lists(
    st.lists(st.sampled_from([1, 2, 3, 4, HIDDEN]), max_size=7), min_size=1, max_size=3
)


def hyperedges(
    items: list[int], similarity: list[list[float]], num_similar: int
) -> list[dict[int, float]]:
    """Edges of one sequence, each {slot: weight}: of items, of hidden slots, and of items that stand more than once."""
    slots = range(len(items))
    similar = {i: sorted(slots, key=lambda j: -similarity[i][j])[:num_similar] for i in slots}
    edges = [{slot: 1.0} for slot in slots if items[slot] == HIDDEN]
    for item in set(items) - {HIDDEN}:
        own = {slot: 1.0 for slot in slots if items[slot] == item}
        others = {
            i: value if value >= 0 else 0.01
            for i in slots
            for j in similar[i]
            for value in [similarity[i][j]]
            if items[i] not in (item, HIDDEN) and items[j] == item
        }
        edges += [own | others, own] if len(own) > 1 else [own | others]
    return edges


def twin_propagation(items: list[int], edges: list[dict[int, float]]) -> list[Vector]:
    """G_ij = sum over edges e of H_ie H_je / (Dv_i De_e)."""
    degree = [sum(edge.get(slot, 0.0) for edge in edges) for slot in range(len(items))]
    return [
        [
            sum(edge.get(i, 0.0) * edge.get(j, 0.0) / sum(edge.values()) for edge in edges)
            / degree[i]
            for j in range(len(items))
        ]
        for i in range(len(items))
    ]


@given(SEQUENCES, st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=60)
def test_propagation_equals_its_twin(sequences, num_similar, seed):
    """G of a padded batch is what loops over each sequence's hyperedges give, zero at padding."""
    L = 7
    table_XD = torch.randn(
        10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    items_BL = torch.tensor([row + [0] * (L - len(row)) for row in sequences])
    similarity_BLL = table_XD[items_BL] @ table_XD[items_BL].mT
    known_BL = (items_BL > 0) & (items_BL != HIDDEN)
    G_BLL = propagation(similarity_BLL, items_BL, known_BL, num_similar)
    twin_BLL = torch.zeros(len(sequences), L, L, dtype=torch.float64)
    for row, items in enumerate(sequences):
        n = len(items)
        edges = hyperedges(items, similarity_BLL[row].tolist(), num_similar)
        twin_BLL[row, :n, :n] = torch.tensor(
            twin_propagation(items, edges), dtype=torch.float64
        ).view(n, n)
    torch.testing.assert_close(G_BLL, twin_BLL, atol=1e-12, rtol=0)


@pytest.mark.parametrize("row", range(2))
def test_the_metric_is_a_cosine_of_weighed_items(row):
    """Without `over_time`, similarity is the cosine of x * w, of slot to slot; padding, zero, is similar to none."""
    metric = ItemMetric(2).double()
    with torch.no_grad():
        metric.weight_D.copy_(torch.tensor([2.0, -0.5]))
    items = [[[1.0, 2.0], [3.0, -1.0], [0.0, 0.0]], [[-1.0, 0.5], [0.1, 0.0], [4.0, 4.0]]]

    def cosine(x: Vector, y: Vector) -> float:
        x, y = ([2 * a, -b / 2] for a, b in (x, y))
        return dot(x, y) / sqrt(dot(x, x) * dot(y, y)) if any(x) and any(y) else 0.0

    similarity_BLL = metric(torch.tensor(items, dtype=torch.float64))
    twin_LL = [[cosine(x, y) for y in items[row]] for x in items[row]]
    torch.testing.assert_close(
        similarity_BLL[row], torch.tensor(twin_LL, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_the_metric_cancels_out_over_time():
    """Normalized over time, as published, similarity does not depend on the metric's weights."""
    items_BLD = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    metric = ItemMetric(3, over_time=True)
    before_BLL = metric(items_BLD)
    with torch.no_grad():
        metric.weight_D.copy_(torch.tensor([0.1, -7.0, 3.0]))
    torch.testing.assert_close(metric(items_BLD), before_BLL)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 2), (2, 1), (9, 9)])
def test_hidden_slots_are_filled_as_by_their_twin(before, after):
    """A hidden slot gets the mean of the known ones in its window, its own state without any; others stay."""
    kinds = ["hkkhhk...", "hhhh.....", "khkhkhkhk"]  # hidden, known, padding
    states_BLD = torch.randn(
        3, 9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    known_BL, hidden_BL = (
        torch.tensor([[kind == sign for kind in row] for row in kinds]) for sign in "kh"
    )
    twin = states_BLD.tolist()
    for row, states in zip(kinds, states_BLD.tolist(), strict=True):
        for slot, kind in enumerate(row):
            near = [
                m for m in range(slot - before, slot + after + 1) if 0 <= m < 9 and row[m] == "k"
            ]
            if kind == "h" and near:
                twin[kinds.index(row)][slot] = times(
                    1 / len(near), plus(*(states[m] for m in near))
                )
    filled_BLD = fill_hidden(states_BLD, known_BL, hidden_BL, before, after)
    torch.testing.assert_close(
        filled_BLD, torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0
    )

import pytest
import torch

from blade_tune.layers.embedding import EmbeddingTable, LocalRows

IDS = torch.tensor([4, 0, 2, 4, 7])


def test_local_rows_are_the_rows():
    """A place gives the row that its id gives, wherever in the batch it stands; ids in order have places in order."""
    table = EmbeddingTable(9, 3)
    rows_XD, places_N = table.gather_rows(IDS)
    assert places_N.tolist() == [2, 0, 1, 2, 3]
    with table.use_local(rows_XD):
        found = table(places_N)
    assert torch.equal(found, table(IDS))


def test_gradients_through_local_rows_are_those_of_lookups():
    """Several lookups of local rows leave the gradient of the same lookups in the table; padding has none."""
    table, gradients = EmbeddingTable(9, 3, padding_idx=0), []
    factors = torch.arange(10.0).view(2, 5, 1)
    for is_local in (False, True):
        table.weight.grad = None
        if is_local:
            local, places_N = table.gather_rows(IDS)
            with table.use_local(local):
                rows = [table(places_N) for _ in range(2)]
        else:
            rows = [table(IDS) for _ in range(2)]
        (torch.stack(rows) * factors).sum().backward()
        gradients.append(table.weight.grad)
    assert torch.equal(*gradients)
    assert gradients[1][0].count_nonzero() == 0
    assert gradients[1][2].count_nonzero() == 3


def test_after_an_error_ids_are_ids_again():
    """Whatever happens meanwhile, local rows are in use no longer than asked for."""
    table = EmbeddingTable(9, 3)
    with pytest.raises(KeyError), table.use_local(LocalRows(torch.zeros(1), torch.zeros(1, 3))):
        raise KeyError
    assert torch.equal(table(torch.tensor([8]))[0], table.weight[8])

"""Reproduction: a trial again, bit for bit on a CPU, or the first epoch that differs."""

import pytest
import torch

from blade_tune.errors import ConfigError, ReproductionError
from blade_tune.selection.reproduce import Past, make_again
from blade_tune.study.stored import StoredStudy
from blade_tune.trial import provenance

CPU = torch.device("cpu")


def edited(search: StoredStudy, number: int, epoch: int, change) -> Past:
    """A trial that had other figures in an epoch."""
    past = Past.of(search, number)
    change(past.records[epoch - 1])
    return past


@pytest.mark.parametrize("number", [0, 3])
def test_a_trial_is_made_again_exactly(search: StoredStudy, number: int):
    """Every loss, rate and metric of every epoch is the stored one to the last bit."""
    found = make_again(Past.of(search, number), search.data(None), CPU)
    assert (found.trial, found.epochs, found.largest_difference, found.changed) == (
        number,
        2,
        0.0,
        (),
    )


@pytest.mark.parametrize("epoch", [1, 2])
def test_the_first_epoch_that_differs_is_named(search: StoredStudy, epoch: int):
    """With its figure, what it was and what it is; exit code 7."""
    past = edited(search, 1, epoch, lambda record: record["metrics"].update({"ndcg@10": 0.5}))
    with pytest.raises(
        ReproductionError, match=rf"epoch {epoch} differs first: ndcg@10 was 0\.5, is now 0\."
    ) as error:
        make_again(past, search.data(None), CPU)
    assert error.value.exit_code == 7


def test_a_loss_in_its_last_bit_is_a_difference(search: StoredStudy):
    """Nothing is rounded away, unless a tolerance is given."""
    past = edited(
        search,
        1,
        2,
        lambda record: record["losses"].update(next=record["losses"]["next"] * (1 + 1e-12)),
    )
    with pytest.raises(ReproductionError, match=r"epoch 2 differs first: loss\.next"):
        make_again(past, search.data(None), CPU)
    found = make_again(past, search.data(None), CPU, tolerance=1e-9)
    assert 0.0 < found.largest_difference < 1e-9


def test_what_else_changed_is_said(search: StoredStudy, monkeypatch: pytest.MonkeyPatch):
    """Other versions, another commit and another device stand beside a difference, and beside a success."""
    then = provenance.software_lines(CPU)
    monkeypatch.setattr(
        "blade_tune.selection.reproduce.software_lines", lambda _: {**then, "versions": "torch 9.9"}
    )
    found = make_again(Past.of(search, 0), search.data(None), CPU)
    assert found.changed == (f"versions {then['versions']} -> torch 9.9",)
    past = edited(search, 0, 1, lambda record: record["metrics"].update({"hr@5": 2.0}))
    with pytest.raises(ReproductionError, match=r"Not as then: versions .* -> torch 9\.9"):
        make_again(past, search.data(None), CPU)


def test_a_training_that_ends_earlier_is_no_reproduction(search: StoredStudy):
    """Epochs that are not reached again are a difference too."""
    past = Past.of(search, 2)
    past.records.append({**past.records[-1], "epoch": 3})
    with pytest.raises(ReproductionError, match="had 3 epochs, and now ends after 2"):
        make_again(past, search.data(None), CPU)


def test_only_a_stored_trial_can_be_made_again(search: StoredStudy):
    """A number that is no trial, and one without its files here, are told apart."""
    with pytest.raises(ConfigError, match="has trials 0 to 3, got 4"):
        Past.of(search, 4)
    search.folder.trial(0).metrics.unlink()
    with pytest.raises(ConfigError, match="has stored no epoch here"):
        Past.of(search, 0)

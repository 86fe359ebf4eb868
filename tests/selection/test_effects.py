"""Ablations and sweeps: single changes of the confirmed winner, on its seeds, each with its difference."""

import numpy as np
import pytest

from blade_tune.errors import ConfigError
from blade_tune.metrics import METRICS
from blade_tune.report.effect_tables import effect_rows, effect_table
from blade_tune.selection.confirm import confirm, load_confirmation
from blade_tune.selection.effects import ablations, grid, load_effects, study_effects, sweeps
from blade_tune.selection.runs import find_runs
from blade_tune.selection.scores import user_groups
from blade_tune.selection.statistics import holm, paired_bootstrap
from blade_tune.selection.testing import Opening
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from tests.export.test_export import CPU
from tests.selection.small import num_rows, own_executor


@pytest.fixture
def confirmed(search: StoredStudy) -> StoredStudy:
    """A search with a winner over two seeds."""
    confirm(search, 2, 2, own_executor())
    return search


def test_a_sweep_changes_one_setting_of_the_winner(confirmed: StoredStudy):
    """The winner's own runs are taken as they are; each value is trained on the same seeds, the rest as the winner."""
    (found,) = study_effects(
        confirmed, sweeps(confirmed, {"model.lambda_": "0, 0.5"}), None, own_executor()
    )
    assert num_rows(confirmed) == 4 + 4
    assert (found.title, found.num_seeds) == ("model.lambda_", 2)
    assert [effect.scores.label for effect in found.effects] == [
        "model.lambda_=0.0",
        "model.lambda_=0.5",
    ]
    metric = found.metric
    for effect in found.effects:
        means = np.mean(effect.scores.metrics[metric]) - np.mean(found.base.metrics[metric])
        assert effect.comparison == paired_bootstrap(
            effect.scores.gains(metric), found.base.gains(metric), owed=(0.0, found.owed)
        )
        assert effect.comparison.difference == pytest.approx(means)
        assert effect.p_adjusted >= effect.comparison.p_value
    reloaded, *others = load_effects(confirmed)
    assert not others
    assert effect_rows(reloaded) == effect_rows(found)


def test_stored_ranks_give_the_stored_metrics(confirmed: StoredStudy):
    """Figures from ranks, and the mean of users' gains, are what the evaluation said, for every metric and seed."""
    (found,) = study_effects(
        confirmed, sweeps(confirmed, {"model.alpha": "0.5"}), None, own_executor()
    )
    confirmation = load_confirmation(confirmed)
    assert confirmation is not None
    runs = [TrialRecord(run).metrics for run in confirmation.winning_runs]
    for metric in METRICS:
        stored = [figures[metric] for figures in runs]
        assert found.base.metrics[metric] == pytest.approx(stored, abs=1e-12)
    for scores in (found.base, found.effects[0].scores):
        for metric, values in scores.metrics.items():
            assert scores.gains(metric).mean(axis=1).tolist() == pytest.approx(
                list(values), abs=1e-12
            )


def test_the_winners_own_value_is_its_own_run(confirmed: StoredStudy):
    """Sweeping over the value that the winner has trains nothing, and differs by exactly nothing."""
    found = load_confirmation(confirmed)
    assert found is not None
    own = found.winner.values["model.lambda_"]
    (table,) = study_effects(
        confirmed, sweeps(confirmed, {"model.lambda_": repr(own)}), None, own_executor()
    )
    assert num_rows(confirmed) == 4
    assert table.effects[0].comparison.difference == 0.0
    assert table.effects[0].p_adjusted == 1.0
    assert table.base.metrics["ndcg@10"] == tuple(run.value for run in found.winning_runs)


def test_ablations_are_the_models_own(confirmed: StoredStudy):
    """BLADE's are those of its paper's Table 3, then the contrast of two dropout passes, and sets that are not read."""
    wanted = ablations(confirmed)
    assert {label: dict(changes) for label, changes in wanted["ablation"].items()} == {
        "w/o early fusion (EF)": {"model.alpha": 1.0},
        "w/o intermediate fusion (IF)": {"model.alpha": 0.0},
        "w/o contrastive learning (CL)": {"model.lambda_": 0.0},
        "w/o behavior richness weights (BRW)": {"model.richness_weight": False},
        "w/o data augmentation (DA)": {"model.augmentation": "none"},
        "w/o sets": {"model.read_sets": False},
    }
    (found,) = study_effects(confirmed, wanted, None, own_executor())
    assert [effect.scores.label for effect in found.effects] == list(wanted["ablation"])


@pytest.mark.parametrize(
    ("wanted", "law"),
    [
        ({"model.lambd": "1"}, "unknown key lambd"),
        ({"modle.alpha": "1"}, "unknown group modle. Did you mean model"),
        ({"model.alpha": "0.5,2"}, "less than or equal to 1"),
        ({"model.num_heads": "two"}, "valid integer"),
    ],
)
def test_a_sweep_is_checked_before_anything_is_trained(confirmed: StoredStudy, wanted, law):
    """Names and values are those of the settings."""
    with pytest.raises(ConfigError, match=law):
        study_effects(confirmed, sweeps(confirmed, wanted), None, own_executor())
    assert num_rows(confirmed) == 4


GRID = {"model.augmentation": "add,flip", "model.rho": "0.5, 1"}


def test_a_grid_has_every_combination_and_its_lines(confirmed: StoredStudy):
    """One table, corrected over all of it; each configuration has its own changes alone, the rest as the winner."""
    wanted = grid(confirmed, GRID, ["model.augmentation=none", "model.lambda_=0,model.rho=0.5"])
    (found,) = study_effects(confirmed, wanted, None, own_executor())
    assert found.title == "model.augmentation x model.rho"
    assert found.parameters == [*GRID]
    assert [dict(effect.changes) for effect in found.effects] == [
        {"model.augmentation": "add", "model.rho": 0.5},
        {"model.augmentation": "add", "model.rho": 1.0},
        {"model.augmentation": "flip", "model.rho": 0.5},
        {"model.augmentation": "flip", "model.rho": 1.0},
        {"model.augmentation": "none"},
        {"model.lambda_": 0.0, "model.rho": 0.5},
    ]
    labels = [effect.scores.label for effect in found.effects]
    assert labels[0] == "model.augmentation=add, model.rho=0.5"
    p_values = [effect.comparison.p_value for effect in found.effects]
    assert [effect.p_adjusted for effect in found.effects] == list(holm(p_values))
    assert num_rows(confirmed) == 4 + 2 * 6
    (reloaded,) = load_effects(confirmed)
    assert effect_rows(reloaded) == effect_rows(found)
    assert reloaded.values == found.values
    confirmation = load_confirmation(confirmed)
    assert confirmation is not None
    assert confirmation.winner.values.items() <= found.values.items()
    assert found.values["model.rho"] == 0.5  # a default


def test_a_grid_may_be_of_test_rows(confirmed: StoredStudy):
    """Every run is a line of the ledger."""
    wanted = grid(confirmed, {"model.alpha": "0,1", "model.rho": "0.5"})
    opening = Opening("sweep --test", CPU, None)
    (found,) = study_effects(confirmed, wanted, None, own_executor(), opening)
    assert (found.part, found.parameters) == ("test", ["model.alpha", "model.rho"])
    assert len(confirmed.ledger.openings()) == 2 * 3


@pytest.mark.parametrize(
    ("wanted", "lines", "law"),
    [
        ({"model.rho": "0.1,0.5"}, [], "--grid: varies two or more --param together, got 1; leave"),
        (GRID, ["model.augmentation"], "--line model.augmentation: must be NAME=VALUE"),
        (GRID, ["model.rho=0.1,model.rho=0.2"], "with different names"),
        (GRID, ["=none"], "must be NAME=VALUE"),
        (GRID, ["model.augmentaton=none"], "--line .*: model: unknown key augmentaton. Did you"),
        (GRID, ["model.augmentation=crop"], "--line model.augmentation=crop: model"),
        (GRID, ["model.rho=1,model.augmentation=add"], "is in the table already; leave it out"),
        (GRID, ["model.alpha=0", "model.alpha=0.0"], "is in the table already"),
        ({**GRID, "model.rho": "1,2"}, [], "--param model.rho --values 1,2: .*less than or equal"),
        (
            {"model.num_heads": "1", "model.embedding_size": "9,10"},
            ["model.num_heads=4,model.embedding_size=9"],
            "divisible by num_heads",
        ),
    ],
)
def test_a_grid_is_checked_before_anything_is_trained(confirmed: StoredStudy, wanted, lines, law):
    """Each refusal names the option with the law that it breaks."""
    with pytest.raises(ConfigError, match=law):
        study_effects(confirmed, grid(confirmed, wanted, lines), None, own_executor())
    assert num_rows(confirmed) == 4


def test_values_have_the_type_of_their_setting(search: StoredStudy):
    """Text from a command line becomes what a YAML file would hold."""
    tables = sweeps(
        search,
        {"model.richness_weight": "true,false", "model.ffn_multiple": "1, 4", "model.alpha": "0"},
    )
    values = [
        next(iter(changes.values())) for table in tables.values() for changes in table.values()
    ]
    assert values == [True, False, 1, 4, 0.0]
    assert [type(value) for value in values] == [bool, bool, int, int, float]


def test_effects_need_a_confirmed_winner(search: StoredStudy):
    """Without one the error says which command finds it."""
    with pytest.raises(ConfigError, match="blade-tune confirm --study tiny"):
        study_effects(search, sweeps(search, {"model.alpha": "0.5"}), None, own_executor())


def test_on_test_rows_the_winner_owes_nothing(confirmed: StoredStudy):
    """Every run is a line of the ledger, once; figures are those of the test rows; both tables are kept."""
    wanted = sweeps(confirmed, {"model.alpha": "0.5"})
    (valid,) = study_effects(confirmed, wanted, None, own_executor())
    assert confirmed.ledger.openings() == []
    assert valid.owed > 0.0
    for _ in range(2):
        (found,) = study_effects(
            confirmed, wanted, None, own_executor(), Opening("sweep --test", CPU, None)
        )
        assert len(confirmed.ledger.openings()) == 4
    assert num_rows(confirmed) == 6
    assert (found.title, found.part, found.owed) == ("model.alpha, test", "test", 0.0)
    (effect,) = found.effects
    assert effect.comparison == paired_bootstrap(
        effect.scores.gains(found.metric), found.base.gains(found.metric)
    )
    assert effect.scores.metrics != valid.effects[0].scores.metrics
    assert [table.title for table in load_effects(confirmed)] == [
        "model.alpha",
        "model.alpha, test",
    ]
    notes = effect_table(found, "").footnotes
    assert any("test rows chose nothing" in note for note in notes)


def test_a_table_of_test_rows_waits_until_all_are_tested(confirmed: StoredStudy):
    """One whose opening was interrupted is not shown."""
    wanted, opening = sweeps(confirmed, {"model.alpha": "0.5"}), Opening("sweep --test", CPU, None)
    study_effects(confirmed, wanted, None, own_executor(), opening)
    runs = find_runs(confirmed)
    assert runs is not None
    runs.files(runs.trials[-1]).test.unlink()
    assert load_effects(confirmed) == []


def test_tail_users_are_told_by_their_own_rows(
    search: StoredStudy, monkeypatch: pytest.MonkeyPatch
):
    """Those with more than a share of long-tail behaviors in their train rows, in order of evaluation."""
    data = search.data(None)
    columns = [data.config.behaviors.index(name) for name in data.config.long_tail]
    users = sorted(set(data.valid.users_N.tolist()))
    sets = [data.train.sets_NK[data.train.users_N == user] for user in users]
    found = {}
    for share in (0.8, 0.3):
        monkeypatch.setattr("blade_tune.data.statistics.TAIL_SHARE", share)
        found[share] = user_groups(data)
        expected = [bool(own[:, columns].sum() > share * own.sum()) for own in sets]
        assert found[share]["tail"].tolist() == expected
        assert found[share]["head"].tolist() == [not is_tail for is_tail in expected]
    assert 0 < found[0.3]["tail"].sum() < len(users)


def test_too_few_users_have_no_mean(confirmed: StoredStudy):
    """Head and tail users are counted; of fewer than 30 no figure is shown."""
    (found,) = study_effects(
        confirmed, sweeps(confirmed, {"model.alpha": "0.5"}), None, own_executor()
    )
    head_U, tail_U = found.groups["head"], found.groups["tail"]
    assert (head_U ^ tail_U).all()
    assert len(head_U) == found.base.ranks_SU.shape[1]
    assert found.base.of_users(tail_U, "ndcg@10") is None
    everybody = found.base.of_users(np.repeat(head_U | tail_U, 2)[: len(head_U)], "hr@20")
    assert (everybody is None) == (len(head_U) < 30)
    assert f"head users n = {head_U.sum()}" in effect_table(found, "protocol").footnotes[-2]
    assert effect_table(found, "protocol").footnotes[-1] == "protocol"

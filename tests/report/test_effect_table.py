"""The table of an ablation, with groups of users and its protocol, from ranks that nobody trained."""

import numpy as np

from blade_tune.report.effect_tables import effect_rows, effect_table
from blade_tune.report.text_tables import latex, markdown
from blade_tune.selection.effects import Effect, Effects
from blade_tune.selection.groups import groups_of
from blade_tune.selection.scores import Scores
from blade_tune.selection.statistics import holm, paired_bootstrap
from tests.report.test_text_tables import compile_latex

PROTOCOL = (
    "protocol: loss bce, recipe shared, exclude window, target_set truth, budget 60 trials of max_epochs 300, 5 fresh "
    "seeds, test rows never opened"
)


def ablation() -> Effects:
    """Two changes of a winner on 5 seeds and 120 users, of whom 2 are tail users: one is worse for high shares."""
    rng = np.random.default_rng(11)
    shares_U = np.linspace(0.0, 0.79, 120)
    is_tail_U = np.arange(120) < 2
    best_SU = rng.integers(0, 30, size=(5, 120), dtype=np.int32)
    worse_SU = best_SU + np.where(shares_U > 0.5, 15, 0).astype(np.int32)
    ranks = {"w/o EF": worse_SU, "w/o CL": rng.permuted(best_SU, axis=0)}
    base = Scores("trial 7", best_SU)
    changed = [Scores(label, ranks_SU) for label, ranks_SU in ranks.items()]
    found = [paired_bootstrap(each.gains("ndcg@10"), base.gains("ndcg@10")) for each in changed]
    adjusted = holm([each.p_value for each in found])
    effects = tuple(map(Effect, changed, found, adjusted))
    groups = groups_of(is_tail_U, shares_U)
    return Effects("ablation", "ndcg@10", 7, "valid", 5, 0.0013, base, effects, groups)


def test_the_same_effects_are_the_same_table(golden):
    """Figures, marks, groups, their contrasts and the protocol, character by character."""
    text = markdown(effect_table(ablation(), PROTOCOL))
    assert text == golden("effects.md", text)


def test_rows_have_the_interaction_of_each_change():
    """A change has its contrast between groups; the winner, which is compared with nothing, has none."""
    effects = ablation()
    winner, *changed = effect_rows(effects)
    assert winner.keys() >= {"low tail ndcg@10", "middle tail ndcg@10", "high tail ndcg@10"}
    for row, contrast in zip(changed, effects.contrasts, strict=True):
        assert row["group_contrast"] == contrast.comparison.difference
        assert row["group_contrast_p_holm"] == contrast.p_adjusted
    assert changed[0]["group_contrast"] < 0.0
    assert changed[0]["group_contrast_p_holm"] < 0.05


def test_latex_takes_the_table_of_effects(tmp_path):
    """Signs, braces and percents of the footnotes included."""
    compile_latex(tmp_path, latex(effect_table(ablation(), PROTOCOL)))

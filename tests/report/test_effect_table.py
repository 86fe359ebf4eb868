"""The table of an ablation, with groups of users and its protocol, from ranks that nobody trained."""

import numpy as np

from blade_tune.report.effect_tables import effect_rows, effect_table
from blade_tune.report.text_tables import latex, markdown
from blade_tune.selection.effects import Effects
from tests.report.made_effects import drawn, made
from tests.report.test_text_tables import compile_latex

PROTOCOL = (
    "protocol: loss bce, recipe shared, exclude window, target_set truth, budget 60 trials of max_epochs 300, 5 fresh "
    "seeds, test rows never opened"
)


def ablation() -> Effects:
    """Two changes of a winner on 5 seeds and 120 users, of whom 2 are tail users: one is worse for high shares."""
    rng = np.random.default_rng(11)
    best_SU = drawn(rng)
    worse_SU = best_SU + np.where(np.linspace(0.0, 0.79, 120) > 0.5, 15, 0).astype(np.int32)
    changed = {
        "w/o EF": ({"model.alpha": 1.0}, worse_SU),
        "w/o CL": ({"model.lambda_": 0.0}, rng.permuted(best_SU, axis=0)),
    }
    return made("ablation", best_SU, changed, owed=0.0013)


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

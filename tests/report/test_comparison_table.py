"""The table of a comparison, from made-up ranks: kept as text, taken by LaTeX."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blade_tune.report.comparison_tables import comparison_rows, comparison_table
from blade_tune.report.text_tables import latex, markdown
from blade_tune.selection.comparison import Comparisons, Contender, Pair
from blade_tune.selection.contrasts import Contrasts
from blade_tune.selection.expectation import expected_of_scores
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.saturation import course
from blade_tune.selection.scores import EvaluatedPart, Scores
from blade_tune.selection.statistics import holm, paired_bootstrap
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from tests.report import made_up
from tests.report.latex import compile_latex

USERS = 200
EXPECTED = {
    "blade": Expected(0.0811, 0.0602, 0.1025, 0.0043, 60),
    "sasrec": Expected(0.0675, 0.0481, 0.0874, 0.0021, 60),
    "item_knn": Expected(0.0702, 0.0489, 0.0921, 0.0, 12),
}
SPENT = {"trials": 60, "epochs": 3_000, "steps": 36_000, "hours": 1.5, "gpu_hours": 0.0}
BASELINES = {"popularity": {"ndcg@10": 0.03}, "item_knn": {"ndcg@10": 0.069, "hr@10": 0.12}}


def ranks(seed: int, hits: int, num_seeds: int) -> np.ndarray:
    """Ranks of which so many a seed lie among the first ten, most of them of the same users."""
    rng = np.random.default_rng(seed)
    ranks_SU = rng.integers(10, 500, size=(num_seeds, USERS), dtype=np.int32)
    ranks_SU[:, :hits] = rng.integers(0, 10, size=(num_seeds, hits))
    return ranks_SU


def contender(study: StoredStudy, model: str, hits: int, part: EvaluatedPart) -> Contender:
    num_seeds = 1 if model == "item_knn" else 5
    scores = Scores(model, ranks(len(model), hits, num_seeds))
    expected = EXPECTED[model] if part == "valid" else expected_of_scores(scores, "ndcg@10")
    is_above = model == "blade"
    return Contender(
        label=model,
        study=study,
        files=study.folder.trial(0),
        winner=made_up.confirmation().winner,
        scores=scores,
        takes_target_set=is_above,
        window=6,
        loss="" if model == "item_knn" else "ce",
        spent=SPENT,
        course=course(study),
        moves={},
        num_rising=2 if is_above else 0,
        expected=expected,
        baselines=BASELINES,
        verdict=Verdict("item_knn", 0.012, 0.001 if is_above else -0.009, 0.03),
    )


def comparison(study: StoredStudy, part: EvaluatedPart) -> Comparisons:
    """Two models beside sasrec, with which they were to be compared."""
    hits = {"blade": 45, "item_knn": 33, "sasrec": 30}
    entries = [contender(study, model, count, part) for model, count in hits.items()]
    pairs = [(entries[0], entries[2]), (entries[1], entries[2])]
    found = []
    for first, second in pairs:
        gains = np.broadcast_arrays(first.scores.gains("ndcg@10"), second.scores.gains("ndcg@10"))
        found.append(paired_bootstrap(*gains, owed=(first.owed, second.owed)))
    adjusted = holm([each.p_value for each in found])
    return Comparisons(
        "ndcg@10",
        part,
        tuple(entries),
        tuple(
            Pair(first.label, second.label, each, p_value)
            for (first, second), each, p_value in zip(pairs, found, adjusted, strict=True)
        ),
        {},
        "is told the behavior set of the item to predict, or its label",
        "protocol: loss ce, recipe shared, exclude window, target_set truth, budget 60 trials, 5 fresh seeds",
        contrasts=Contrasts("sasrec", ("blade", "item_knn"), "2026-11-30T10:00:00", 0, 0, 0),
    )


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_comparison_is_the_same_table(searched: StoredStudy, part, golden, tmp_path: Path):
    """Expected figures first, marks, contrasts, power and the protocol line, character by character."""
    table = comparison_table(comparison(searched, part), ["hours of blade 1.5, sasrec 1.2"])
    text = markdown(table)
    assert text == golden(f"comparison-{part}.md", text)
    assert table.footnotes[-1].startswith("protocol: ")
    compile_latex(tmp_path, latex(table))


def test_test_figures_have_an_interval_each(searched: StoredStudy):
    """Over users and seeds, for every metric; validation figures have the expected one only."""
    blade, *_ = comparison_rows(comparison(searched, "test"))
    for metric in ("ndcg@5", "hr@5", "ndcg@10", "hr@10"):
        assert blade[f"{metric} low"] < blade[metric] < blade[f"{metric} high"]
    (valid,) = [
        row for row in comparison_rows(comparison(searched, "valid")) if row["model"] == "blade"
    ]
    assert "ndcg@10 low" not in valid
    assert (valid["expected"], valid["expected_low"]) == (0.0811, 0.0602)


def test_published_differences_are_held_against_what_can_be_found(searched: StoredStudy):
    """On data that a paper has, each contrast of its models is called decidable or not."""
    found = comparison(searched, "valid")
    definition = searched.definition
    data = definition.data.model_copy(update={"name": "qk-video"})
    study = replace(searched, definition=replace(definition, data=data))
    entries = tuple(replace(entry, study=study) for entry in found.entries)
    notes = comparison_table(replace(found, entries=entries), []).footnotes
    published = [
        note for note in notes if note.startswith("published by BLADE (AAAI 2026), Table 1")
    ]
    assert published == [
        "published by BLADE (AAAI 2026), Table 1: blade minus sasrec +0.0023, undecidable here"
    ]

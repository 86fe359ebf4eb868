"""Re-tuned ablations: each variant is searched anew over what its change leaves of the study's space."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from blade_tune.errors import ConfigError
from blade_tune.report.comparison_tables import comparison_rows, comparison_table
from blade_tune.selection.compare import uneven
from blade_tune.selection.confirm import confirm, load_confirmation
from blade_tune.selection.contenders import compare
from blade_tune.selection.effects import ablations
from blade_tune.selection.retuned import define_variants, require_budget, run_variants
from blade_tune.selection.statistics import holm, paired_bootstrap
from blade_tune.selection.testing import Opening
from blade_tune.space import Space
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy
from tests.export.test_export import CPU
from tests.selection.small import SEARCH, own_executor
from tests.tiny import define, run, stored

PARTS = {"w/o EF": {"model.alpha": 1.0}, "w/o sets": {"model.read_sets": False}}
VALID, TEST = Opening("ablate --tune", CPU, None), Opening("ablate --tune --test", CPU, None)
SPACE = {
    "num_heads": {"choice": [1, 2]},
    "alpha": {"float": [0.0, 1.0], "step": 0.25},
    "lambda_": {"float": [0.01, 1.0], "log": True},
    "augmentation": {"choice": ["add", "mask"]},
    "rho": {"float": [0.1, 0.9]},
    "mask_exponent": {"choice": [0.5, 1.0], "when": {"augmentation": ["mask"]}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A confirmed search, and two of its variants re-tuned once."""
    place = tmp_path_factory.mktemp("retuned")
    run(place, **SEARCH)
    confirm(stored(place), 2, 2, own_executor())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blade_tune.models.blade.model.Blade.ablations", PARTS)
        run_variants(stored(place), 4, own_executor())
    return place


@pytest.fixture
def base(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredStudy:
    """A copy of it for a test that may add to it."""
    monkeypatch.setattr("blade_tune.models.blade.model.Blade.ablations", PARTS)
    return stored(shutil.copytree(results, tmp_path / "results"))


def again(base: StoredStudy) -> list[StoredStudy]:
    """The study and its variants; nothing is left to train."""
    executor = own_executor()
    studies = run_variants(base, 4, executor)
    assert len(executor.worked) == 4  # searches and runs that are done
    return studies


def test_a_variant_is_the_study_but_for_its_change(base: StoredStudy):
    """Data, protocol, sampler, pruner and seed are the study's; the changed parameter is fixed, all else searched."""
    own = base.definition
    variants = define_variants(base, 9)
    assert [*variants] == [*PARTS]
    assert [each.name for each in variants.values()] == [
        "tiny.ablate-w-o-EF",
        "tiny.ablate-w-o-sets",
    ]
    for label, each in variants.items():
        search = each.search.model_copy(update={"trials": own.search.trials})
        kept = replace(each, name=own.name, space=own.space, search=search, enqueue=own.enqueue)
        assert kept == replace(own, home=None)
        assert each.search.trials == 9
        assert each.space.fixed == {**own.space.fixed, **PARTS[label]}
        assert each.space.free == {
            name: parameter
            for name, parameter in own.space.free.items()
            if name not in PARTS[label]
        }


def test_the_winners_values_are_tried_first(base: StoredStudy):
    """As far as the variant has them: the first trial of each variant has them all but for the change."""
    confirmation = load_confirmation(base)
    assert confirmation is not None
    for variant, changes in zip(again(base)[1:], PARTS.values(), strict=True):
        first = variant.trials[0]
        assert first.user_attrs["tag"] == "winner of tiny"
        values = variant.values(first)
        assert values == {**confirmation.winner.values, **changes}


def test_budgets_and_confirmations_are_those_of_the_study(base: StoredStudy):
    """Each variant has the trials that were asked for, and as many candidates and the same seeds as the study."""
    own = load_confirmation(base)
    assert own is not None
    studies = again(base)
    assert [num_scored(each.trials) for each in studies] == [4, 4, 4]
    assert [each.label for each in studies] == ["blade", *PARTS]
    for each in studies[1:]:
        found = load_confirmation(each)
        assert found is not None
        assert found.seeds == own.seeds
        assert len(found.candidates) == len(own.candidates)
    assert uneven(studies, None) == []


def test_variants_are_compared_with_the_study_alone(base: StoredStudy):
    """One contrast a variant, named in the study's ledger, less what both sides owe; Holm over these."""
    studies = again(base)
    found = compare(studies, "valid", VALID, against=base.label)
    assert found.reference == "blade"
    assert set(found.with_reference) == set(PARTS)
    entries = {entry.label: entry for entry in found.entries}
    metric = found.metric
    for pair in found.pairs:
        first, second = entries[pair.first], entries[pair.second]
        assert pair.comparison == paired_bootstrap(
            first.scores.gains(metric),
            second.scores.gains(metric),
            owed=(first.owed, second.owed),
        )
        assert all(entry.expected and entry.owed > 0.0 for entry in (first, second))
    p_values = [pair.comparison.p_value for pair in found.pairs]
    assert [pair.p_adjusted for pair in found.pairs] == list(holm(p_values))
    (line,) = base.ledger.entries()
    assert (line["command"], line["contrasts"]) == ("ablate --tune", [*PARTS])

    rows = {row["model"]: row for row in comparison_rows(found)}
    assert rows.keys() >= {"blade", *PARTS}
    assert rows["w/o sets"]["moves.sets"] == 0.0 < rows["blade"]["moves.sets"]
    table = comparison_table(found, [])
    text = "\n".join(table.footnotes)
    labels = {label.partition(" †")[0] for label, _ in table.rows if "†" in label}
    assert labels == {"blade", *PARTS}
    assert "Holm over 2 pairs" in text
    assert "contrasts with blade were named" in text
    assert "w/o sets: states move by: all sets emptied 0," in text


def test_on_test_rows_every_run_is_a_line_of_its_ledger(base: StoredStudy):
    """The winners' runs alone are opened, each once."""
    studies = again(base)
    for _ in range(2):
        found = compare(studies, "test", TEST, against=base.label)
        assert [len(each.ledger.openings()) for each in studies] == [2, 2, 2]
    assert found.part == "test"
    assert {entry.owed for entry in found.entries} == {0.0}


def test_unequal_budgets_are_refused_before_anything_runs(base: StoredStudy):
    """Within 5% they are equal; the message says which number is, and a table that is printed all the same how far."""
    require_budget(base, 4)
    with pytest.raises(
        ConfigError, match=r"--tune 5: .*tiny has scored 4: give --tune 4, or --uneven"
    ):
        require_budget(base, 5)
    studies = run_variants(base, 5, own_executor())
    assert uneven(studies, None) == ["trials of blade 4, w/o EF 5, w/o sets 5"]


def test_variants_need_a_confirmed_winner_and_parts(search: StoredStudy):
    """Each refusal says what to do, and nothing was opened."""
    with pytest.raises(ConfigError, match="blade-tune confirm --study tiny"):
        run_variants(search, 4, own_executor())


def narrowed(changes: dict[str, object]) -> Space:
    """The space of a variant with one change, of a study over SPACE."""
    definition = define(space__model={"embedding_size": 8, "max_length": 6, **SPACE})
    from blade_tune.selection.retuned import _space

    return _space(definition, changes)


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"model.alpha": 1.0}, ["alpha"]),
        ({"model.augmentation": "none"}, ["augmentation", "rho", "mask_exponent"]),
        ({"model.augmentation": "add"}, ["augmentation", "mask_exponent"]),
        ({"model.augmentation": "mask"}, ["augmentation"]),
        ({"model.read_sets": False}, ["augmentation", "rho", "mask_exponent"]),
        ({"model.richness_weight": False}, []),
    ],
    ids=str,
)
def test_what_a_change_leaves_without_effect_is_not_searched(changes, left_out):
    """Neither the changed parameter, nor what waits for another value of it, nor what its fields say has none."""
    space = narrowed(changes)
    assert {name.partition(".")[2] for name in space.free} == {*SPACE} - {*left_out}
    assert space.fixed.items() >= changes.items()
    if changes == {"model.augmentation": "mask"}:  # which always holds now
        assert space.free["model.mask_exponent"].when == {}
    # The space of a study file is held to the same law
    StudyDefinition.from_mapping(
        "variant", {**define().to_mapping(), "space": space.to_mapping()}, "variant"
    )


def test_blade_names_the_parts_of_its_paper_and_two_more(search: StoredStudy):
    """All of them have names that studies may have, one each."""
    confirm(search, 1, 2, own_executor())
    variants = define_variants(search, 4)
    assert [*variants] == [*ablations(search)["ablation"]]
    assert len({each.name for each in variants.values()}) == len(variants) == 6

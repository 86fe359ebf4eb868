"""Warm starts: what is carried over, how much of it, and that each of it is tried once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.store import prepare
from blade_tune.errors import ConfigError
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.warm_start import (
    TRIALS_EACH,
    KnownConfiguration,
    WarmSource,
    WarmStart,
    carry_over,
    is_warm,
    origin_words,
    warm_origin,
)
from blade_tune.study.workspace import Workspace
from tests.tiny import content, define, work

HERE = {"model.num_heads": 2, "model.alpha": 0.5, "model.lambda_": 0.25}
MUCH = 10 * TRIALS_EACH  # a budget with room for ten


def source(*points: dict[str, Any], name: str = "other", **changes: Any) -> WarmSource:
    """A source with some configurations, the best first; a point that says little is HERE for the rest."""
    best = [
        KnownConfiguration({**HERE, **point}, {"source": f"trial {number} of study {name}"})
        for number, point in enumerate(points)
    ]
    return WarmSource(
        **{"name": name, "count": len(best), "best": best, "model": "blade", **changes}
    )


def alphas(*values: float, **changes: Any) -> WarmSource:
    return source(*({"model.alpha": value} for value in values), **changes)


def opened(results: Path, *warm: WarmSource, trials: int = MUCH, **changes: Any) -> StoredStudy:
    """The tiny study, opened with some sources as a run opens it."""
    definition = define(**changes)
    data = prepare(definition.data, None, results)
    place = Workspace.at(None, results)
    return open_study(definition, data, place, TrialBudget(trials), warm=warm)


def queued(stored: StoredStudy) -> list[tuple[str, float]]:
    """The tag and alpha of every row that waits or was tried, in order."""
    rows = []
    for trial in stored.trials:
        fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        rows.append((TrialRecord(trial).get(TrialRecord.tag, ""), fixed.get("model.alpha")))
    return rows


# --- what is carried over ---


def carried(definition: StudyDefinition, *points: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry.values for entry in carry_over(source(*points), definition)]


def test_the_study_s_space_has_the_last_word():
    """What it fixes or does not have is as there; of a range comes the nearest value; the rest is left to sampling."""
    space = {
        "space__model__num_heads": 2,
        "space__model__alpha": {"float": [0.0, 0.25], "step": 0.25},
        "space__model__augmentation": {"choice": ["add", "flip"]},
        "space__train__learning_rate": {"float": [1e-3, 1e-2], "log": True},
    }
    there = {
        "model.num_heads": 1,
        "model.embedding_size": 64,
        "model.alpha": 1.0,
        "model.augmentation": "none",
        "train.learning_rate": 0.5,
        "train.max_epochs": 300,
        "model.gone": 3,
    }
    [entry] = carry_over(source(there), define(**space))
    assert entry.values == {
        "model.alpha": 0.25,
        "model.lambda_": 0.25,
        "train.learning_rate": 1e-2,
    }
    assert entry.metadata["changed"] == {
        "model.num_heads": [1, 2],
        "model.embedding_size": [64, 8],
        "model.alpha": [1.0, 0.25],
        "model.augmentation": ["none", None],
        "train.learning_rate": [0.5, 1e-2],
    }
    words = origin_words(entry.metadata)
    assert words.startswith("trial 0 of study other; model.num_heads 1 there, 2 here; ")
    assert "model.augmentation none there, sampled here" in words


@given(
    heads=st.sampled_from([1, 2, 3, 8]),
    alpha=st.floats(-1.0, 3.0),
    lambda_=st.floats(1e-6, 1e3),
    kept=st.sets(st.sampled_from(sorted(HERE))),
)
def test_what_is_carried_over_can_be_enqueued(
    heads: int, alpha: float, lambda_: float, kept: set[str]
):
    """Every entry passes the check of a study file's `enqueue`; a point of the space is not changed."""
    drawn = {"model.num_heads": heads, "model.alpha": alpha, "model.lambda_": lambda_}
    values = {name: drawn[name] for name in kept}
    known = KnownConfiguration(values, {"source": "x"})
    definition = define()
    entries = carry_over(WarmSource("x", 1, [known], "blade"), definition)
    assert len(entries) == bool(values)
    for entry in entries:
        again = {"model": entry.model, "train": entry.train}
        study = StudyDefinition.from_mapping("tiny", content(enqueue=[again]), "tiny.yaml")
        assert study.enqueued_params(0) == entry.values
        assert entry.values.keys() == values.keys()
        is_point = all(definition.space.free[name].contains(values[name]) for name in values)
        assert (entry.values == values) == is_point
        assert (entry.metadata["changed"] == {}) == is_point


def test_another_model_is_refused_before_anything_is_stored(tmp_path: Path):
    """In one line, which names both models and the way out."""
    with pytest.raises(ConfigError) as error:
        opened(tmp_path, alphas(0.5, model="sasrec"))
    assert str(error.value) == (
        "--warm-start other: is of sasrec, and study tiny is of blade; name a source of blade, or run the study with "
        "--model sasrec."
    )
    assert not (tmp_path / "studies.db").exists()


def test_a_combination_of_others_is_refused():
    """The weights of a combination mean something only for members of the same models, in the same order."""
    with pytest.raises(ConfigError, match=r"combines ease, ials, and study tiny ;"):
        carry_over(alphas(0.5, members=("ease", "ials")), define())


# --- how much, and once ---


def test_sources_take_turns_and_nothing_is_tried_twice(tmp_path: Path):
    """The best of each source first; what is a default, a trial or of another source too stands once."""
    enqueue = [{"model": {"num_heads": 2, "alpha": 0.0, "lambda_": 0.25}, "tag": "default"}]
    first, second = alphas(1.0, 0.0, 0.75, name="a"), alphas(0.25, 1.0, 0.5, name="b")
    stored = opened(tmp_path, first, second, enqueue=enqueue)
    assert queued(stored) == [
        ("default", 0.0),
        ("warm 1", 1.0),
        ("warm 2", 0.25),
        ("warm 3", 0.75),
        ("warm 4", 0.5),
    ]
    sentences = [
        sentence for start in WarmStart.all_of(stored.study) for sentence in start.left_out
    ]
    assert sentences == [
        "trial 1 of study a is trial 0 here",
        "trial 1 of study b is warm 1 here",
    ]


@pytest.mark.parametrize(
    ("trials", "taken"), [(1, 1), (2 * TRIALS_EACH - 1, 1), (2 * TRIALS_EACH, 2), (MUCH, 3)]
)
def test_a_source_takes_a_small_share_of_the_budget(tmp_path: Path, trials: int, taken: int):
    """One configuration for so many trials, at least one, the best first; the others are named."""
    stored = opened(tmp_path, alphas(0.25, 0.5, 0.75), trials=trials)
    assert [alpha for _, alpha in queued(stored)] == [0.25, 0.5, 0.75][:taken]
    [start] = WarmStart.all_of(stored.study)
    assert len(start.left_out) == 3 - taken
    assert all(f"of {TRIALS_EACH} trials one at most" in words for words in start.left_out)


def test_the_same_source_again_adds_nothing_and_more_of_it_adds_the_rest(tmp_path: Path):
    """Once a source was asked for three it gives none, whatever is best there now; asked for five it gives two."""
    opened(tmp_path, alphas(0.0, 0.25, 0.5))
    for again in (alphas(0.0, 0.25, 0.5), alphas(1.0, 0.75, 0.0), alphas(1.0)):
        assert len(queued(opened(tmp_path, again))) == 3
    assert len(queued(opened(tmp_path))) == 3
    stored = opened(tmp_path, alphas(0.0, 0.25, 0.5, 0.75, 1.0))
    assert queued(stored)[3:] == [("warm 4", 0.75), ("warm 5", 1.0)]


def test_a_study_that_has_begun_takes_a_warm_start(tmp_path: Path):
    """It is tried next, its trial counts, and what the study has tried is not tried again."""
    work(opened(tmp_path, trials=2))
    tried = opened(tmp_path, trials=2).trials[0].params
    stored = opened(tmp_path, source(tried, {"model.alpha": 1.0, "model.lambda_": 0.77}), trials=4)
    work(stored)
    assert [tag for tag, _ in queued(stored)] == ["", "", "warm 1", ""]
    trials = stored.trials
    assert trials[2].params == {"model.num_heads": 2, "model.alpha": 1.0, "model.lambda_": 0.77}
    assert [is_warm(trial) for trial in trials] == [False, False, True, False]
    assert warm_origin(trials, trials[2])["source"] == "trial 1 of study other"
    assert warm_origin(trials, trials[3]) == {}


def test_a_finished_study_is_told_how_to_go_on(tmp_path: Path):
    """It has no place for another; the line names --add, nothing is added, and what it took before is no error."""
    work(opened(tmp_path, alphas(0.25), trials=1))
    with pytest.raises(ConfigError) as error:
        opened(tmp_path, alphas(0.75, name="b"), trials=1)
    assert str(error.value) == (
        "--warm-start b: study tiny has its 1 scored trials; --add K makes room for more."
    )
    assert len(queued(opened(tmp_path, alphas(0.25), trials=1))) == 1


# --- kills ---


@pytest.mark.parametrize("calls", range(4))
@pytest.mark.parametrize("named_again", [True, False])
def test_killed_at_any_moment_each_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int, named_again: bool
):
    """Killed before or between two rows, the next run queues the rest, with the flag or without, and nothing twice."""
    enqueue, left = optuna.Study.enqueue_trial, iter([True] * calls + [False])

    def killed(self: optuna.Study, *args: Any, **kwargs: Any) -> None:
        if not next(left, True):
            raise KeyboardInterrupt
        enqueue(self, *args, **kwargs)

    wanted = alphas(0.25, 0.5, 0.75)
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "enqueue_trial", killed)
        if calls < 3:
            with pytest.raises(KeyboardInterrupt):
                opened(tmp_path, wanted)
        else:
            opened(tmp_path, wanted)
    # Meanwhile the source has found others
    again: Sequence[WarmSource] = [alphas(1.0, 0.0, 0.25)] if named_again else []
    stored = opened(tmp_path, *again)
    assert queued(stored) == [("warm 1", 0.25), ("warm 2", 0.5), ("warm 3", 0.75)]


def test_killed_before_the_choice_is_stored_nothing_is_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A kill at the one write that stores the choice leaves a study as it would be without a warm start."""
    write = optuna.Study.set_user_attr

    def killed(self: optuna.Study, key: str, value: Any) -> None:
        if key == "warm_starts":
            raise KeyboardInterrupt
        write(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", killed)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path, alphas(0.25))
    assert queued(opened(tmp_path)) == []
    assert queued(opened(tmp_path, alphas(0.5))) == [("warm 1", 0.5)]

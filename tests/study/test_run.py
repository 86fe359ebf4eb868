"""A run: the budget, what is tried first, what is refused, and what stays on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from safetensors.torch import load_file

from blade_tune.config import read_yaml
from blade_tune.errors import ConfigError, StudyDiffersError
from blade_tune.space import Space
from blade_tune.spec.space_check import check_space
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.folder import StudyFolder
from blade_tune.training.device_data import DeviceData
from blade_tune.trial.objective import build_training
from tests.spec.test_fingerprint import OTHER_STUDIES
from tests.tiny import Watch, define, rows, run, stored


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the tiny study, three trials long; tests may look and run again, not add."""
    results = tmp_path_factory.mktemp("finished")
    run(results, options={"keep": 2})
    return results


# --- budget ---


def test_the_budget_is_a_total(tmp_path: Path):
    """Three, then five, then five again are 3, 5 and 5 rows: a budget is a total, and a used one adds nothing."""
    for budget, total in ((3, 3), (5, 5), (5, 5), (4, 5)):
        watch = Watch()
        why = run(tmp_path, watch, search__trials=budget)
        assert rows(tmp_path) == [("COMPLETE", "")] * total
        assert why == f"{total} of {budget} trials are scored"
    assert watch.started == {}
    assert stored(tmp_path).budget == 4


def test_the_same_study_seed_gives_the_same_study(finished: Path, tmp_path: Path):
    """Two fresh studies of one seed have the same configurations, seeds and values; another seed has others."""

    def facts(results: Path) -> list[tuple[Any, ...]]:
        return [
            (trial.params, trial.user_attrs["seed"], trial.value)
            for trial in stored(results).trials
        ]

    run(tmp_path / "again")
    run(tmp_path / "other", search__seed=7, search__trials=1)
    assert facts(tmp_path / "again") == facts(finished)
    assert facts(tmp_path / "other")[0] != facts(finished)[0]


def test_settings_of_the_search_may_change(tmp_path: Path):
    """Budget, sampler and pruner are no identity: a study goes on with others, and remembers the latest."""
    run(tmp_path, search__trials=1)
    run(tmp_path, search__trials=2, search__sampler="random", search__pruner={"kind": "median"})
    study = stored(tmp_path)
    assert len(study.trials) == 2
    assert (study.definition.search.sampler, study.definition.search.pruner.kind) == (
        "random",
        "median",
    )


# --- identity ---


@pytest.mark.parametrize("field", OTHER_STUDIES)
def test_another_study_is_refused(finished: Path, field: str):
    """A stored study whose space, metric, epochs or seed changed is refused by field, exit code 3, and gets no row."""
    with pytest.raises(StudyDiffersError, match=f"\n  {field}: stored") as error:
        run(finished, search__trials=9, **OTHER_STUDIES[field])
    assert error.value.exit_code == 3
    assert (len(stored(finished).trials), stored(finished).budget) == (3, 3)


def test_other_data_is_refused(finished: Path):
    """Other rows under the same name are another study."""
    with pytest.raises(
        StudyDiffersError, match=r"\n  data: stored '[0-9a-f]{64}', now '[0-9a-f]{64}'\n"
    ):
        run(finished, search__trials=9, data__seed=1)
    assert len(stored(finished).trials) == 3


def test_a_study_of_another_program_is_refused(tmp_path: Path):
    """A study of this name that has rows and no fingerprint is left alone."""
    study = optuna.create_study(
        study_name="tiny", storage=open_storage(resolve_url(None, tmp_path), create=True)
    )
    study.add_trial(optuna.create_trial(value=0.5))
    with pytest.raises(
        StudyDiffersError, match=r"^study tiny in this database was not made by blade-tune"
    ):
        run(tmp_path)
    assert len(study.trials) == 1


# --- what is tried first ---

ENQUEUED = [
    {
        "model": {"num_heads": 2, "alpha": 0.75, "lambda_": 0.5},
        "tag": "published",
        "metadata": {"seed": 2023},
    },
    {"model": {"alpha": 0.25}, "tag": "partial"},
]


def test_enqueued_configurations_run_first(tmp_path: Path):
    """What is enqueued comes first and tagged, what it leaves out is sampled; it is queued once and counts."""
    run(tmp_path, search__trials=1, enqueue=ENQUEUED)
    run(tmp_path, search__trials=3, enqueue=ENQUEUED)
    trials = stored(tmp_path).trials
    assert trials[0].params == {"model.num_heads": 2, "model.alpha": 0.75, "model.lambda_": 0.5}
    assert (trials[0].user_attrs["tag"], trials[0].user_attrs["metadata"]) == (
        "published",
        {"seed": 2023},
    )
    assert (trials[1].params["model.alpha"], trials[1].user_attrs["tag"]) == (0.25, "partial")
    assert len(trials[1].params) == 3
    assert "tag" not in trials[2].user_attrs
    assert len(trials) == 3


def test_a_wrong_enqueued_configuration_is_refused_before_any_row(tmp_path: Path):
    """A typo in what is enqueued is refused before there is a study."""
    with pytest.raises(
        ConfigError,
        match=r"enqueue\[0\]: unknown parameter model\.alhpa\. Did you mean model\.alpha\?",
    ):
        run(tmp_path, enqueue=[{"model": {"alhpa": 0.5}}])
    assert not (tmp_path / "studies.db").exists()


def test_a_study_killed_while_it_was_made_is_made_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Killed between two enqueued configurations, the next run has each of them once."""
    enqueue, calls = optuna.Study.enqueue_trial, iter(range(9))

    def killed(self: optuna.Study, *args: Any, **kwargs: Any) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        enqueue(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "enqueue_trial", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, search__trials=2, enqueue=ENQUEUED)
    run(tmp_path, search__trials=2, enqueue=ENQUEUED)
    assert [trial.user_attrs["tag"] for trial in stored(tmp_path).trials] == [
        "published",
        "partial",
    ]


# --- samplers and pruners ---


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("tpe", "percentile"),
        ("random", "median"),
        ("grid", "asha"),
        ("qmc", "hyperband"),
        ("gp", "none"),
    ],
)
def test_every_sampler_and_pruner_runs_without_a_warning(tmp_path: Path, sampler: str, pruner: str):
    """Each runs four trials to the exact total; a warning would be an error here."""
    space = (
        {"space__model__lambda_": {"float": [0.1, 0.5], "step": 0.1}} if sampler == "grid" else {}
    )
    kind = {"kind": pruner, "startup_trials": 1, "warmup": 0.0, "reduction_factor": 2}
    run(
        tmp_path,
        search={"trials": 4, "sampler": sampler, "pruner": kind},
        train__max_epochs=3,
        **space,
    )
    assert len(rows(tmp_path)) == 4
    assert {state for state, _ in rows(tmp_path)} <= {"COMPLETE", "PRUNED"}


def test_the_grid_ends_when_every_point_is_tried(tmp_path: Path):
    """A grid smaller than its budget tries each point once and says so; run again, it adds nothing."""
    space = {
        "space__model": {"embedding_size": 8, "num_blocks": 1, "num_experts": 1, "max_length": 6}
    }
    space["space__model"] |= {"num_heads": {"choice": [1, 2]}, "alpha": {"choice": [0.0, 1.0]}}
    for budget in (3, 9, 9):
        why = run(
            tmp_path, search={"trials": budget, "sampler": "grid"}, train__max_epochs=1, **space
        )
    assert why == "every point of the grid is tried: 4 trials are scored"
    params = [tuple(trial.params.values()) for trial in stored(tmp_path).trials]
    assert sorted(params) == [(1, 0.0), (1, 1.0), (2, 0.0), (2, 1.0)]


class Forbidding(Watch):
    """Notes the epochs at which a trial is asked whether to end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Mapping[int, bool]) -> None:
        super().__init__()
        self.asked: list[tuple[int, int]] = []

        def should_prune(trial: optuna.Trial) -> bool:
            epoch = self.records[-1][1].epoch
            self.asked.append((trial.number, epoch))
            return answer.get(epoch, False)

        monkeypatch.setattr(optuna.Trial, "should_prune", should_prune)


def test_pruning_is_asked_after_the_warm_up_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The pruner is asked once at each evaluation after the warm-up, never before or between."""
    watch = Forbidding(monkeypatch, {})
    run(
        tmp_path,
        watch,
        search={"trials": 1, "pruner": {"warmup": 0.4}},
        train={"max_epochs": 10, "eval_every": 2},
    )
    assert watch.asked == [(0, 6), (0, 8), (0, 10)]


def test_a_pruned_trial_has_a_report_and_leaves_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A pruned trial counts, has its reports and reason, and keeps neither checkpoint nor weights."""
    watch = Forbidding(monkeypatch, {2: True})
    run(
        tmp_path,
        watch,
        search={"trials": 2, "pruner": {"warmup": 0.3}},
        train={"max_epochs": 4, "eval_every": 1},
    )
    assert rows(tmp_path) == [("PRUNED", "pruned")] * 2
    for trial in stored(tmp_path).trials:
        assert list(trial.intermediate_values) == [1, 2]
        assert trial.value == trial.intermediate_values[2]
        assert names(tmp_path, trial.number) == {"config.yaml", "train.log", "metrics.jsonl"}
    assert watch.ended == [(0, "pruned"), (1, "pruned")]


# --- what is stored ---


def names(results: Path, number: int) -> set[str]:
    return {path.name for path in StudyFolder(results, "tiny").trial(number).path.iterdir()}


def test_a_trial_s_value_is_its_best_epoch(finished: Path):
    """Value, stored figures, reports and the file of epochs tell the same."""
    for trial in stored(finished).trials:
        assert (
            trial.value
            == max(trial.intermediate_values.values())
            == trial.user_attrs["valid.ndcg@10"]
        )
        assert trial.intermediate_values[trial.user_attrs["best_epoch"]] == trial.value
        folder = StudyFolder(finished, "tiny").trial(trial.number)
        epochs = [
            json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()
        ]
        assert {
            epoch["epoch"]: epoch["metrics"]["ndcg@10"] for epoch in epochs
        } == trial.intermediate_values
        assert trial.user_attrs["epochs"] == len(epochs) == 2


def test_a_configuration_file_is_a_space_with_nothing_free(finished: Path):
    """A trial's config.yaml fits its study, frees nothing and holds the trial's parameters."""
    for trial in stored(finished).trials:
        space = Space.load(StudyFolder(finished, "tiny").trial(trial.number).config)
        check_space(space, define().configs)
        assert space.count() == 1
        assert space.fixed == define().space.values(trial.params)


def test_the_files_of_a_study(finished: Path):
    """A study leaves its definition, and of each trial its files; weights of the best `keep` only, no checkpoint."""
    study = stored(finished)
    folder = StudyFolder(finished, "tiny")
    assert read_yaml(folder.definition) == study.definition.to_mapping()
    kept = sorted(study.trials, key=lambda trial: -trial.value)[:2]
    for trial in study.trials:
        weights = {"best.safetensors"} if trial in kept else set()
        assert (
            names(finished, trial.number)
            == {"config.yaml", "train.log", "metrics.jsonl", "ranks.npy"} | weights
        )


def test_the_kept_weights_are_the_best_epoch_s(finished: Path):
    """Weights and ranks on disk are those of the trial's value."""
    study = stored(finished)
    best, data = study.study.best_trial, study.data(None)
    device_data = DeviceData.for_search(data, 6, study.definition.objective, torch.device("cpu"))
    training = build_training(
        study.definition, study.definition.space.values(best.params), data, device_data, seed=0
    )
    training.model.load_state_dict(load_file(study.folder.trial(best.number).weights))
    evaluation = device_data.evaluator(training.model)
    assert evaluation.metrics["ndcg@10"] == best.value
    assert np.load(study.folder.trial(best.number).ranks).tolist() == evaluation.ranks_U.tolist()

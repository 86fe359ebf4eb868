"""The demo shows what it promises: a model that reads behavior sets beats one that cannot, and popularity."""

from pathlib import Path

import pytest
import torch

from blade_tune.data.config import DataConfig
from blade_tune.data.store import prepare
from blade_tune.study.definition import StudyDefinition
from blade_tune.study.objective import build_training, max_length
from blade_tune.training.device_data import DeviceData
from blade_tune.training.floors import popularity_floors
from blade_tune.training.loop import Hooks

GOOD = {
    "model.num_heads": 2,
    "model.dropout": 0.1,
    "model.num_experts": 4,
    "model.alpha": 0.5,
    "model.lambda_": 0.01,
    "model.augmentation": "mask",
    "model.rho": 0.3,
    "train.learning_rate": 4e-3,
}
DEMO = StudyDefinition.load("demo")


def best_and_floor(data_config: DataConfig, root: Path) -> tuple[float, float]:
    """Validation NDCG@10 of a configuration of the demo's space, and of popularity."""
    data = prepare(data_config, None, root)
    values = {**DEMO.space.fixed, **GOOD}
    windows = DeviceData.for_search(data, max_length(DEMO, values), DEMO.objective, torch.device("cpu"))
    outcome = build_training(DEMO, values, data, windows, seed=1).run(Hooks(windows.evaluator))
    popularity = popularity_floors(data.train, data.num_items, data.catalog.auxiliary)["all"]
    return outcome.metrics["ndcg@10"], windows.evaluator.measure(popularity).metrics["ndcg@10"]


@pytest.mark.slow
def test_behavior_sets_are_what_the_demo_learns_from(tmp_path: Path) -> None:
    """The same model reaches 2.5 times the popularity floor, and far less once the sets are shuffled."""
    best, floor = best_and_floor(DEMO.data, tmp_path)
    shuffled, _ = best_and_floor(DEMO.data.model_copy(update={"shuffle_sets": True}), tmp_path)
    assert best > 2.5 * floor
    assert best > 1.4 * shuffled

"""The published recipe of every model gives what it gave before there was another one.

`python -m tests.training.test_published_recipe` prints what the code at hand gives, in the form of the kept file. Where
that file was written every number was the same to the last bit under the code before and after; elsewhere a processor's
own rounding moves the last digits, so that the test allows for as much. Those of `cl4srec`, `dymus` and `dymus_plus`
were written anew when their defaults became those of their public code.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from blade_tune.models import MODELS
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import model_class
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Hooks
from blade_tune.trial.objective import build_training
from tests.tiny import define, tiny_data

KEPT = Path(__file__).with_name("published_recipe.json")
# Of the models that there were; a new one has nothing to keep
BEFORE = json.loads(KEPT.read_text())
NEURAL = [name for name in MODELS if issubclass(model_class(name), NeuralRecommender)]
SIZES = {"model.embedding_size": 16, "model.max_length": 6}
TRAIN = {
    "train.batch_size": 8,
    "train.learning_rate": 0.01,
    "train.max_epochs": 3,
    "train.eval_every": 1,
}


def trained(name: str, root: Path) -> dict[str, Any]:
    """Losses of every epoch, its figure, and the ranks of the best, of a model at its own defaults but for its size."""
    data = tiny_data(root)
    definition = define(model=name, space={}, train={})
    device_data = DeviceData.for_search(data, 6, definition.objective, torch.device("cpu"))
    training = build_training(
        definition, {**SIZES, **TRAIN}, data, device_data, seed=2026, threads=1
    )
    result = training.run(Hooks(device_data.evaluator))
    return {
        "losses": [record.losses for record in result.history],
        "ndcg@10": [record.metrics["ndcg@10"] for record in result.history],
        "ranks": result.ranks_U.tolist(),
        "weights": float(sum(weights.double().abs().sum() for weights in result.weights.values())),
    }


@pytest.mark.parametrize("name", BEFORE)
def test_published_recipe_gives_the_values_of_before(name: str, tmp_path: Path):
    before, now = BEFORE[name], trained(name, tmp_path)
    for losses, losses_now in zip(before["losses"], now["losses"], strict=True):
        assert losses_now == pytest.approx(losses, rel=1e-4)
    assert now["ndcg@10"] == pytest.approx(before["ndcg@10"], rel=1e-4)
    assert now["weights"] == pytest.approx(before["weights"], rel=1e-4)
    assert now["ranks"] == before["ranks"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        kept = {name: trained(name, Path(folder) / name) for name in NEURAL}
    sys.stdout.write(json.dumps(kept, indent=1) + "\n")

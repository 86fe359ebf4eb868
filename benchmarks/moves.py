"""How far behavior sets, the told set and order move the states of untrained BLADE: the table in docs/models.md.

    python benchmarks/moves.py --data DIR                  # DIR: QK-Video's split files

Every row is measured as runs of `confirm` are at their end, on the same validation users, and is a mean over seeds of
the initial weights. `views` is one more column: two views by the operator `mask` against each other.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from classical import QK_VIDEO

from blade_tune.augment.behaviors import SetViews
from blade_tune.data.store import SearchData, prepare
from blade_tune.models.base import NeuralRecommender
from blade_tune.parameter import Value
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.spec.recipes import RECIPES, RecipeName
from blade_tune.training.device_data import DeviceData
from blade_tune.training.moves import SEED, USERS, measure_moves, relative_change
from blade_tune.trial.objective import build_training

CPU = torch.device("cpu")
CONFIGURATIONS: Mapping[str, Mapping[str, Value]] = {
    "default": {},
    "`set_softmax: present`": {"set_softmax": "present"},
    "`factor_init: ones`": {"factor_init": "ones"},
}
COLUMNS = ("sets", "told", "order", "views", "dropout")


def define(recipe: RecipeName, settings: Mapping[str, Value]) -> StudyDefinition:
    """A study of one configuration of BLADE."""
    content = {
        "model": "blade",
        "recipe": recipe,
        "space": {"model": dict(settings)},
        "data": QK_VIDEO,
    }
    return StudyDefinition.from_mapping("moves", content, "benchmarks/moves.py")


def moves(definition: StudyDefinition, data: SearchData, seed: int) -> dict[str, float]:
    """How far each change moves the states of the untrained model of one seed."""
    values = definition.space.fixed
    length = max_length(definition, values)
    device_data = DeviceData.for_search(data, length, definition.objective, CPU)
    model = build_training(definition, values, data, device_data, seed).model
    assert isinstance(model, NeuralRecommender)
    measured = measure_moves(model, device_data.evaluator)
    # Two views against each other
    batch = device_data.evaluator.sample(USERS, torch.Generator().manual_seed(SEED))
    config = model.config
    views = SetViews("mask", config.rho, config.mask_exponent, data.catalog)
    torch.manual_seed(seed)
    model.eval()
    with torch.inference_mode():
        first, second = (
            model.final_states(replace(batch, sets_BLK=views(batch))) for _ in range(2)
        )
    return {**measured, "views": relative_change(first, second)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of QK-Video's split files")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = prepare(define("shared", {}).data, options.data, options.results)
    print(f"| recipe | configuration | {' | '.join(COLUMNS)} |")
    print("|---|---|" + "---|" * len(COLUMNS))
    for recipe, (name, settings) in product(RECIPES, CONFIGURATIONS.items()):
        definition = define(recipe, settings)
        each = [moves(definition, data, seed) for seed in range(options.seeds)]
        means = [sum(one[column] for one in each) / len(each) for column in COLUMNS]
        print(f"| {recipe} | {name} | {' | '.join(f'{mean:.2g}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()

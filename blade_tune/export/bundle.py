"""The bundle: a trained model as a folder of safetensors, YAML, CSV and JSON; nothing in it is code.

weights.safetensors   the model's weights
best.yaml             its configuration, itself a space with nothing free
catalog.json          the model's name and what it knows of its data
users.csv items.csv   internal number -> id in the data
metrics.json          validation and test figures
ranks.npy             the rank of each test user's item, in order of user
provenance.json       versions, hashes, seeds, commit, command
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from blade_tune.batch import Catalog
from blade_tune.config import parse, read_yaml, write_yaml
from blade_tune.models import MODELS
from blade_tune.models.base import Recommender
from blade_tune.parameter import Value
from blade_tune.registry import load
from blade_tune.space import nest


@dataclass(frozen=True)
class Bundle:
    """Everything that is written, in memory."""

    model_name: str
    values: Mapping[str, Value]  # the configuration by dotted name
    catalog: Catalog
    weights: Mapping[str, Tensor]
    user_ids_U: NDArray[Any]
    item_ids_V: NDArray[Any]
    metrics: Mapping[str, Any]
    ranks_U: Tensor
    provenance: Mapping[str, Any]


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the bundle into a new folder."""
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(save(dict(bundle.weights)))
    (folder / "best.yaml").write_text(write_yaml(nest(bundle.values)), encoding="utf-8")
    catalog = {name: _plain(value) for name, value in vars(bundle.catalog).items()}
    _write_json(folder / "catalog.json", {"model": bundle.model_name, **catalog})
    _write_ids(folder / "users.csv", "user", bundle.user_ids_U)
    _write_ids(folder / "items.csv", "item", bundle.item_ids_V)
    _write_json(folder / "metrics.json", bundle.metrics)
    np.save(folder / "ranks.npy", bundle.ranks_U.numpy().astype(np.int32))
    _write_json(folder / "provenance.json", bundle.provenance)


def load_model(folder: Path) -> Recommender:
    """Build the bundle's model, on the CPU, in evaluation mode."""
    facts = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
    model_class: type[Recommender] = load(MODELS, "model", facts.pop("model"))
    catalog = Catalog(
        num_users=facts["num_users"],
        num_items=facts["num_items"],
        behaviors=tuple(facts["behaviors"]),
        auxiliary=facts["auxiliary"],
        behavior_counts_K=np.array(facts["behavior_counts_K"]),
        pair_counts_KK=np.array(facts["pair_counts_KK"]),
    )
    settings = read_yaml(folder / "best.yaml").get("model", {})
    model = model_class(parse(model_class.Config, settings, str(folder / "best.yaml")), catalog)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return model.eval()


def _write_ids(path: Path, name: str, ids_N: NDArray[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", name])
        writer.writerows((number, ids_N[number]) for number in range(1, len(ids_N)))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value

"""The bundle: a trained model as a folder of safetensors, YAML, CSV and JSON; nothing in it is code.

weights.safetensors   the model's weights
best.yaml             its configuration, itself a space with nothing free
catalog.json          the model's name, what it knows of its data, and how a log of it is read
users.csv items.csv   internal number -> id in the log
metrics.json          validation and test figures
ranks.npy             the rank of each test user's item, in order of user
provenance.json       versions, hashes, seeds, commit, command, license of the data
README.md             the model card
checksums.json        of all other files; `reading.py` reads the folder back
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from blade_tune.batch import Catalog
from blade_tune.config import write_yaml
from blade_tune.data.raw.settings import LogFormat
from blade_tune.export import checksums
from blade_tune.export.model_card import below_untuned_on_test, model_card
from blade_tune.models.build import MemberModel
from blade_tune.parameter import Value
from blade_tune.space import nest


@dataclass(frozen=True)
class Bundle:
    """Everything that is written, in memory."""

    model_name: str
    values: Mapping[str, Value]  # the configuration by dotted name
    members: Sequence[MemberModel]  # of a combination, in the order of its weights
    catalog: Catalog
    weights: Mapping[str, Tensor]
    log: LogFormat  # how histories are read
    user_ids_U: Sequence[str]  # without the padding, so that user u is at u - 1
    item_ids_V: Sequence[str]
    metrics: Mapping[str, Any]
    ranks_U: Tensor
    provenance: Mapping[str, Any]


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the bundle into a new folder."""
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(save(dict(bundle.weights)))
    (folder / "best.yaml").write_text(write_yaml(nest(bundle.values)), encoding="utf-8")
    catalog = {name: _plain(value) for name, value in vars(bundle.catalog).items()}
    log = bundle.log.model_dump(mode="json")
    members = [{"model": name, "settings": dict(settings)} for name, settings in bundle.members]
    _write_json(folder / "catalog.json", {"model": bundle.model_name, "members": members, **catalog, "log": log})
    _write_ids(folder / "users.csv", "user", bundle.user_ids_U)
    _write_ids(folder / "items.csv", "item", bundle.item_ids_V)
    _write_json(folder / "metrics.json", bundle.metrics)
    np.save(folder / "ranks.npy", bundle.ranks_U.numpy().astype(np.int32))
    _write_json(folder / "provenance.json", bundle.provenance)
    (folder / "README.md").write_text(model_card(bundle), encoding="utf-8")
    checksums.write(folder)


def warning_of(folder: Path) -> str:
    """Which untuned baselines a bundle's model is below on its test rows, in words; empty where it is below none.

    Nothing is known of the bundles of a version that did not measure them.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return below_untuned_on_test(metrics) if {"metric", "baselines", "test"} <= metrics.keys() else ""


def _write_ids(path: Path, name: str, ids: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", name])
        writer.writerows(enumerate(ids, start=1))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value

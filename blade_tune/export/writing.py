"""Writing of a bundle as a folder of safetensors, YAML, CSV and JSON, with its model card and its checksums."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from blade_tune.config import write_yaml
from blade_tune.data.auxiliary import as_written
from blade_tune.export import checksums
from blade_tune.export.bundle import Bundle
from blade_tune.export.model_card import model_card
from blade_tune.space import nest


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a new folder; `blade_tune.export.bundle` lists its files."""
    folder.mkdir(parents=True)
    # The model, and what it knows of its data
    (folder / "weights.safetensors").write_bytes(save(dict(bundle.weights)))
    (folder / "best.yaml").write_text(write_yaml(nest(bundle.values)), encoding="utf-8")
    members = [{"model": name, "settings": dict(settings)} for name, settings in bundle.members]
    catalog = {
        "model": bundle.model_name,
        "members": members,
        **{name: _plain(value) for name, value in vars(bundle.catalog).items()},
        "auxiliary": as_written(bundle.catalog.auxiliary),
        "target_set": bundle.metrics["target_set"],
        "log": bundle.log.model_dump(mode="json"),
    }
    if bundle.formats:
        catalog["formats"] = [form.model_dump(mode="json") for form in bundle.formats]
    _write_json(folder / "catalog.json", catalog)
    # Ids in the log
    _write_ids(folder / "users.csv", "user", bundle.user_ids_U)
    _write_ids(folder / "items.csv", "item", bundle.item_ids_V)
    # What was measured, and where the model comes from
    _write_json(folder / "metrics.json", bundle.metrics)
    np.save(folder / "ranks.npy", bundle.ranks_U.numpy().astype(np.int32))
    _write_json(folder / "provenance.json", bundle.provenance)
    (folder / "README.md").write_text(model_card(bundle), encoding="utf-8")
    if bundle.program:
        (folder / checksums.PROGRAM).write_bytes(bundle.program)
    checksums.write(folder)


def _write_ids(path: Path, name: str, ids: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", name])
        writer.writerows(enumerate(ids, start=1))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value

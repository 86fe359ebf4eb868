"""What a bundle says of what its model was told of the items to predict."""

import json
from pathlib import Path

import torch

from blade_tune.export.final import ExportOptions, export_best
from blade_tune.export.reading import load_bundle
from blade_tune.metrics import METRICS
from tests.tiny import run, stored


def test_a_bundle_knows_what_its_model_was_told(tmp_path: Path):
    """Under `target_set: mode` the card, the figures and the default of recommendations are of that one set."""
    run(tmp_path, search__trials=1, objective__target_set="mode")
    out = tmp_path / "tiny" / "best"
    export_best(stored(tmp_path), ExportOptions(out, torch.device("cpu")))
    catalog = stored(tmp_path).data(None).catalog
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    (row,) = [
        row
        for row in metrics["protocols"]
        if (row["exclude"], row["target_set"]) == ("window", "mode")
    ]
    assert {name: row[name] for name in METRICS} == metrics["test"]
    names = ", ".join(catalog.names_of(catalog.told_set("mode")))
    card = (out / "README.md").read_text(encoding="utf-8")
    assert (
        f"The model takes a target set, and is told the same for every item to predict, {{{names}}}"
        in card
    )
    loaded = load_bundle(out)
    assert loaded.target_set == "mode"
    assert loaded.model.catalog.mode_set_K.tolist() == catalog.mode_set_K.tolist()

"""Our windows are EIDP's batches."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from blade_tune.batch import Batch
from blade_tune.data.ledger import Ledger
from blade_tune.data.sealed import open_for_evaluation
from blade_tune.data.sequences import rows_with, windows
from blade_tune.data.store import prepare
from blade_tune.data.table import Part
from tests.data.examples import QK_VIDEO, config, qk_video, table, whole

FIXTURES = Path(__file__).parent / "fixtures"
SEQUENCES = {
    "train": ["train"],
    "valid": ["train", "valid"],
    "test": ["train", "valid", "between", "test"],
}


def eidp_arrays(batch: Batch, last: Part) -> dict[str, torch.Tensor]:
    """The arrays of EIDP's batches; its ground truth is 0 for users without a row in the last part."""
    truth_B1 = torch.zeros_like(batch.target_items_BL[:, -1:])
    rows = rows_with(last)
    truth_B1[rows] = batch.target_items_BL[rows, -1:]
    return {
        "input_item": batch.items_BL,
        "input_bs": batch.sets_BLK,
        "target_item": batch.target_items_BL,
        "target_bs": batch.target_sets_BLK,
        "ground_truth": truth_B1,
    }


@pytest.mark.parametrize("phase", SEQUENCES)
def test_toy_batches(phase: str) -> None:
    """On EIDP's toy data, with users that lack a valid or a test row, every array is equal."""
    fixture = json.loads((FIXTURES / "eidp_dataset_toy.json").read_text())
    inputs, expected = fixture["inputs"], fixture["outputs"][phase]
    parts = []
    for name in SEQUENCES[phase]:
        rows = [
            (int(user), item, behaviors)
            for user in "123"
            for item, behaviors in inputs[name].get(user, [])
        ]
        parts.append(Part(*vars(table(rows)).values()))
    batch = whole(windows(parts, 3, inputs["maxlen"]))
    assert batch.users_B.tolist() == [row["user"] for row in expected]
    for name, tensor in eidp_arrays(batch, parts[-1]).items():
        assert tensor.tolist() == [row[name] for row in expected], name


def test_qk_video_batches(tmp_path: Path) -> None:
    """On QK-Video at 50 steps all 15 arrays have the checksums of EIDP's own."""
    fixture = json.loads((FIXTURES / "eidp_qkv_checksums.json").read_text())["splits"]
    directory = qk_video()
    search = prepare(config(QK_VIDEO), directory, tmp_path)
    sealed = open_for_evaluation(
        search, directory, Ledger(tmp_path / "ledger.jsonl"), {"why": "parity"}
    )
    ours = {
        "train": eidp_arrays(whole(search.windows("train", 50)), search.train),
        "valid": eidp_arrays(whole(search.windows("valid", 50)), search.valid),
        "test": eidp_arrays(whole(sealed.windows(50)), sealed.test),
    }
    for phase, arrays in ours.items():
        for name, tensor in arrays.items():
            expected = fixture[phase][name]
            assert list(tensor.shape) == expected["shape"]
            digest = hashlib.sha256(tensor.numpy().astype(np.dtype("<i4")).tobytes()).hexdigest()
            assert digest == expected["sha256_int32"], (phase, name)

"""What benchmarks measure is what it is said to be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import DATA

WAYS = Path(__file__).parents[1] / "benchmarks" / "gpu_ways.py"


@pytest.mark.slow
def test_packed_trials_are_the_trials(tmp_path):
    """Several models trained as one by vmap have the losses that each has alone, step by step, for any setting."""
    options = {
        "way": json.dumps({"packed": 3}),
        "model": json.dumps({"max_length": 6, "embedding_size": 8, "num_experts": 2}),
        "data-config": json.dumps(DATA),
        "device": "cpu",
        "batch-size": "30",
        "seconds": "0",
        "results": str(tmp_path),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    ended = subprocess.run(
        [sys.executable, WAYS, *words], input="go\n", capture_output=True, text=True, check=False
    )
    ready, figures = ended.stdout.splitlines() or ("", "{}")
    assert ready == "ready", ended.stderr
    assert json.loads(figures)["differs"] < 1e-5

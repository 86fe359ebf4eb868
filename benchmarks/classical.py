"""Seconds and memory of the models that are fitted at once, at their defaults, each in a process of its own.

    python benchmarks/classical.py --data DIR        # QK-Video, with what each reaches on its validation rows
    python benchmarks/classical.py --large           # made-up data: 10 million interactions with 200,000 items

Of users a sample is ranked for; what that takes is given for a thousand of them. The peak is that of the process, with
torch and the mapped data in it. A model that data is too large for says so.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch

from blade_tune.data.config import DataConfig, data_config
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import prepare
from blade_tune.models import MODELS, config_class
from blade_tune.models.build import build_model, model_class
from blade_tune.models.fitted import FittedRecommender
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.fitting import Fitting

BEHAVIORS = {"behaviors": ["click", "like", "share", "follow"], "auxiliary": "click"}
QK_VIDEO = {"source": "split_files", "name": "qk-video", **BEHAVIORS}
LARGE = {
    "source": "synthetic",
    "name": "large",
    **BEHAVIORS,
    "num_users": 100_000,
    "num_items": 200_000,
    "num_clusters": 2_000,
    "min_length": 80,
    "max_length": 120,
}
SAMPLE = 1_000  # users who are ranked for
FITTED = [
    name
    for name in MODELS
    if issubclass(model_class(name), FittedRecommender) and name != "combination"
]  # a combination takes what its members take


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of QK-Video's split files")
    parser.add_argument("--large", action="store_true", help="made-up data")
    parser.add_argument("--models", nargs="+", choices=FITTED, default=FITTED)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=FITTED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.large and options.data is None:
        parser.error("give --data or --large")
    config = data_config(LARGE if options.large else QK_VIDEO, "data")
    if options.only:
        torch.set_num_threads(options.threads)
        print(json.dumps(measure(options.only, config, options.data)))
        return
    prepare(config, options.data, Path("results"))
    print(f"torch {torch.__version__}, {options.threads} threads\n")
    print("| model | fit, s | ranking 1,000 users, s | peak, GB | its state, MB | valid NDCG@10 |")
    print("|---|---|---|---|---|---|")
    for name in options.models:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(in_words(name, json.loads(ended.stdout)), flush=True)


def measure(name: str, config: DataConfig, directory: Path | None) -> dict[str, Any]:
    """Fit and rank once."""
    data = prepare(config, directory, Path("results"))
    if reason := config_class(name).too_large(data.num_users, data.num_items):
        return {"reason": reason}
    model = build_model(name, {}, data.catalog, name)
    assert isinstance(model, FittedRecommender)
    start = time.perf_counter()
    Fitting(model, data.train, seed=0).fit()
    fit_s = time.perf_counter() - start
    users_U = rows_with(data.valid)
    if len(users_U) > 5 * SAMPLE:
        drawn_U = torch.randperm(len(users_U), generator=torch.Generator().manual_seed(0))[:SAMPLE]
        users_U = users_U[drawn_U.sort().values]
    evaluator = Evaluator(
        data.windows("valid", model.max_length), users_U, data.catalog, EvaluationConfig()
    )
    start = time.perf_counter()
    reached = evaluator(model).metrics["ndcg@10"]
    return {
        "fit_s": fit_s,
        "ranking_s": 1000 * (time.perf_counter() - start) / len(users_U),
        "peak": 1024 * getrusage(RUSAGE_SELF).ru_maxrss,
        "state": sum(buffer.numel() * buffer.element_size() for buffer in model.buffers()),
        "reached": reached,
    }


def in_words(name: str, found: dict[str, Any]) -> str:
    """A row of the table."""
    if "reason" in found:
        return f"| {name} | {found['reason']} | | | | |"
    figures = [f"{found['fit_s']:.1f}", f"{found['ranking_s']:.2f}", f"{found['peak'] / 1e9:.1f}"]
    return (
        f"| {name} | {' | '.join(figures)} | {found['state'] / 1e6:.0f} | {found['reached']:.4f} |"
    )


if __name__ == "__main__":
    main()

"""Seconds of an epoch and an evaluation of every neural model, on QK-Video (made-up data of its shape without --data).

    python benchmarks/models.py --data DIR
    python benchmarks/models.py --small --device cpu

Each model with its defaults, batches of 512 users, its own loss and the other one. The first epoch warms up; figures
are medians of the epochs after it. `--check` first compares one batch on the device with the same on the CPU in
float64: losses without dropout and scores, their largest difference as a share.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from blade_tune.data.config import data_config
from blade_tune.data.store import SearchData, prepare
from blade_tune.models import MODELS
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.build import build_model, model_class
from blade_tune.training.config import EvaluationConfig, TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import Training

BEHAVIORS = {"behaviors": ["click", "like", "share", "follow"], "auxiliary": "click"}
QK_VIDEO = {"source": "split_files", "name": "qk-video", **BEHAVIORS}
MADE_UP = {"source": "synthetic", "name": "made-up", **BEHAVIORS}
SHAPE = {
    "num_users": 5_081,
    "num_items": 20_490,
    "num_clusters": 30,
    "min_length": 5,
    "max_length": 50,
}
SMALL = {"num_users": 300, "num_items": 300, "num_clusters": 10, "min_length": 5, "max_length": 20}
BATCH = 512
NEURAL = [name for name in MODELS if issubclass(model_class(name), NeuralRecommender)]
DRAWS_NOTHING = {  # views and hidden slots that need no random number, so that two devices see the same
    "augmentation": "flip",
    "rho": 1.0,
    "crop_share": 1.0,
    "mask_share": 0.0,
    "reorder_share": 0.0,
    "mask_prob": 1.0,
}


def build(name: str, loss: str, data: SearchData, **settings: object) -> NeuralRecommender:
    torch.manual_seed(0)
    return build_model(name, {"loss": loss, **settings}, data.catalog, name)


def still(name: str) -> dict[str, object]:
    """Settings of a model that draws nothing."""
    fields = model_class(name).Config.model_fields
    settings = {field: 0.0 for field in fields if field.endswith("dropout")}
    return settings | {field: value for field, value in DRAWS_NOTHING.items() if field in fields}


def difference(name: str, loss: str, data: SearchData, device: torch.device) -> float:
    """How far losses and scores on the device are from those of the CPU in float64, as a share."""
    model = build(name, loss, data, **still(name))
    cpu = DeviceData.for_search(data, model.max_length, EvaluationConfig(), torch.device("cpu"))
    batch = cpu.windows.rows(cpu.windows.lengths_U.nonzero()[:64, 0])
    batch = batch.with_negatives(cpu.negatives.draw(batch.users_B, batch.items_BL.shape[1]))
    found = []
    for dtype, place in ((torch.float64, torch.device("cpu")), (torch.float32, device)):
        model.to(place, dtype).train()
        losses = torch.stack(list(model.losses(batch.to(place)).values()))
        scores_BV = model.eval().scores(batch.to(place))
        found.append([tensor.detach().double().cpu() for tensor in (losses, scores_BV)])
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*found, strict=True))


def pace(name: str, loss: str, data: SearchData, device: torch.device, epochs: int) -> list[object]:
    """Parameters, medians of an epoch and an evaluation in seconds, and the GPU memory that training took in GB."""
    model = build(name, loss, data).to(device)
    place = DeviceData.for_search(data, model.max_length, EvaluationConfig(), device)
    training = Training(
        model, place.windows, place.negatives, TrainConfig(batch_size=BATCH), "ndcg@10"
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, evaluations = [], []
    for _ in range(epochs + 1):
        start = time.perf_counter()
        training.train_epoch()
        seconds.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    for _ in range(3):
        start = time.perf_counter()
        place.evaluator(model)
        evaluations.append(time.perf_counter() - start)
    count = sum(weights.numel() for weights in model.parameters())
    return [count, statistics.median(seconds[1:]), statistics.median(evaluations[1:]), memory]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of QK-Video's split files")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--epochs", type=int, default=2, help="that are timed")
    parser.add_argument("--models", nargs="+", choices=NEURAL, default=NEURAL)
    parser.add_argument("--losses", nargs="+", choices=["bce", "ce"], default=["bce", "ce"])
    parser.add_argument("--small", action="store_true", help="a small data set, to try this out")
    parser.add_argument(
        "--check", action="store_true", help="compare the device with the CPU first"
    )
    options = parser.parse_args()
    settings = QK_VIDEO if options.data else {**MADE_UP, **(SMALL if options.small else SHAPE)}
    data = prepare(data_config(settings, "data"), options.data, Path("results"))
    device = torch.device(options.device)
    machine = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    print(f"torch {torch.__version__}, {machine}, {data.catalog.num_users} users, batch {BATCH}\n")
    print("| model | loss | parameters | epoch, s | evaluation, s | GB | differs |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        for loss in options.losses:
            differs = f"{difference(name, loss, data, device):.0e}" if options.check else ""
            count, epoch_s, evaluation_s, memory = pace(name, loss, data, device, options.epochs)
            print(
                f"| {name} | {loss} | {count:,} | {epoch_s:.2f} | {evaluation_s:.2f} | {memory:.1f} | {differs} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

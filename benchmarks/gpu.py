"""What a GPU makes of BLADE: an epoch in several ways, trials side by side or packed into one, and the start of a run.

    python benchmarks/gpu.py --data DIR
    python benchmarks/gpu.py --device cpu --small

Two blocks, eight heads, eight experts, batches of 1,024 users, on QK-Video (made-up data of its shape without --data).

Ways to train: plain; `torch.compile`; the whole step as a CUDA graph, draws and optimizer too; each also with the
blocks in bfloat16. Each trains a batch without dropout first: "differs" is how far its losses of three steps are from
those of the plain way, as a share. Trials share a GPU as processes, or as one process that trains models of one shape,
each with its own alpha, lambda_, rho, dropout, learning rate and rows, under `torch.vmap`. A trial is 100 epochs
without evaluations.

Every way is a process of its own (gpu_ways.py) with a time limit; one that fails says why, and the others go on. All of
it takes less than nine minutes.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from gpu_ways import TRIAL_EPOCHS, Way

from blade_tune.config import write_yaml
from blade_tune.data.config import data_config
from blade_tune.data.store import prepare

MODEL = {"num_blocks": 2, "num_heads": 8, "num_experts": 8}
WAYS = Path(__file__).with_name("gpu_ways.py")
# At most: all of it, one way, one run through the program
TOTAL_S, WAY_S, START_S = 530.0, 120.0, 60.0
TABLES = ("epochs", "trials", "start", "compiled")  # what takes longest comes last
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


class Bench:
    """Starts the processes, and knows what time is left."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.end = time.monotonic() + TOTAL_S
        self.known: dict[tuple[Way, int], list[dict[str, float]] | str] = {}

    def limit(self, seconds: float) -> float:
        return max(0.0, min(seconds, self.end - time.monotonic()))

    def measure(self, way: Way, processes: int = 1) -> list[dict[str, float]] | str:
        """The figures of so many processes at once, or why there are none."""
        if (way, processes) not in self.known:
            self.known[way, processes] = self.train(way, processes)
        return self.known[way, processes]

    def train(self, way: Way, processes: int) -> list[dict[str, float]] | str:
        given, limit = self.options, self.limit(WAY_S)
        words = [
            "--way",
            json.dumps(asdict(way)),
            "--device",
            given.device,
            "--results",
            str(given.results),
        ]
        words += [
            "--data-config",
            json.dumps(given.data_config),
            "--batch-size",
            str(given.batch_size),
        ]
        words += ["--model", json.dumps(given.model)]
        words += [
            "--seconds",
            str(given.seconds),
            *(["--data", str(given.data)] if given.data else []),
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with tempfile.TemporaryFile("w+") as said:
            started = [
                subprocess.Popen([sys.executable, str(WAYS), *words], stderr=said, **pipes)
                for _ in range(processes)
            ]
            over = threading.Timer(limit, lambda: [process.kill() for process in started])
            over.start()
            try:
                if all(process.stdout.readline() == "ready\n" for process in started):
                    for process in started:
                        process.stdin.write("go\n")
                        process.stdin.flush()
                    return [json.loads(process.communicate()[0]) for process in started]
            except ValueError:
                pass  # no answer
            finally:
                is_over = not over.is_alive()
                over.cancel()
                for process in started:
                    process.kill()
                    process.wait()
            said.seek(0)
            lines = [line for line in said.read().splitlines() if line.strip()]
        return (
            f"over {limit:.0f} s"
            if is_over
            else lines[-1][:200]
            if lines
            else "ended without a word"
        )

    def epochs(self) -> Iterator[str]:
        """Seconds of an epoch."""
        return self.table(
            [Way(graph=graph, half=half) for graph in (False, True) for half in (False, True)]
        )

    def compiled(self) -> Iterator[str]:
        """The same of what takes a minute to begin."""
        return self.table([Way(compiled=True), Way(compiled=True, half=True)])

    def table(self, ways: list[Way]) -> Iterator[str]:
        yield "| one training | s/epoch | times faster than plain | differs | GiB |"
        yield "|---|---|---|---|---|"
        for way in ways:
            plain, got = self.measure(Way()), self.measure(way)
            if isinstance(plain, str) or isinstance(got, str):
                yield f"| {way} | {got} | | | |"
                continue
            seconds, differs, gib = (got[0][key] for key in ("epoch_s", "differs", "gib"))
            yield f"| {way} | {seconds:.4f} | {plain[0]['epoch_s'] / seconds:.2f} | {differs:.1e} | {gib:.1f} |"

    def trials(self) -> Iterator[str]:
        """Trials an hour."""
        yield f"| trials of {TRIAL_EPOCHS} epochs | an hour | differs | GiB each |"
        yield "|---|---|---|---|"
        graphs = (False, True)
        ways = [(Way(graph=graph), processes) for graph in graphs for processes in (1, 2, 4, 8)]
        ways += [(Way(graph=graph, packed=models), 1) for graph in graphs for models in (2, 4, 8)]
        for way, processes in ways:
            got = self.measure(way, processes)
            name = f"{processes} processes, {way}" if processes > 1 else f"1 process, {way}"
            if isinstance(got, str):
                yield f"| {name} | {got} | | |"
            else:
                per_hour = sum(figures["per_hour"] for figures in got)
                differs, gib = (max(figures[key] for figures in got) for key in ("differs", "gib"))
                yield f"| {name} | {per_hour:.0f} | {differs:.1e} | {gib:.1f} |"

    def start(self) -> Iterator[str]:
        """Seconds from the command to the first trial of a run of 200."""
        given = self.options
        study = given.results / "gpu-start.yaml"
        space = {
            "model": {**given.model, "alpha": {"float": [0.0, 1.0]}},
            "train": {"batch_size": given.batch_size},
        }
        study.write_text(write_yaml({"model": "blade", "space": space, "data": given.data_config}))
        place = ["--study", str(study), "--results", str(given.results), "--device", given.device]
        place += ["--data", str(given.data)] if given.data else []
        for words in ([], ["--per-gpu", "auto"]):
            command = [sys.executable, "-m", "blade_tune", "run", *place, "--trials", "200", *words]
            began, limit = time.monotonic(), self.limit(START_S)
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
                over = threading.Timer(limit, run.terminate)
                over.start()
                lines = []
                for line in run.stderr:
                    lines.append(line.strip())
                    if " started " in line:
                        break
                over.cancel()
                seconds = time.monotonic() - began
                run.terminate()
            found = next((line for line in lines if line.startswith("probe per_gpu=")), "")
            took = (
                f"first trial after {seconds:.1f} s"
                if " started " in lines[-1]
                else f"no trial: {lines[-1]}"
            )
            yield f"- `blade-tune run --trials 200 {' '.join(words)}`: {took} {found}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of QK-Video's split files")
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--small", action="store_true", help="a small data set and small batches, to try this out"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--only", choices=TABLES, nargs="+", default=TABLES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.results = Path(folder)
        options.data_config = (
            QK_VIDEO if options.data else {**MADE_UP, **(SMALL if options.small else SHAPE)}
        )
        options.model = {**MODEL, "max_length": 12} if options.small else MODEL
        options.batch_size = 64 if options.small else 1024
        prepare(data_config(options.data_config, "data"), options.data, options.results)
        is_gpu = options.device.startswith("cuda")
        machine = (
            torch.cuda.get_device_name()
            if is_gpu and torch.cuda.is_available()
            else platform.processor() or "CPU"
        )
        print(
            f"torch {torch.__version__}, {machine}, {options.data_config['name']}, batch {options.batch_size}\n"
        )
        bench = Bench(options)
        for table in options.only:
            for line in getattr(bench, table)():
                print(line, flush=True)
            print()


if __name__ == "__main__":
    main()

"""A child process of a probe (`python -m blade_tune.fleet.probe_child`), which trains for a few seconds per round.

The parent process (`probe.py`) writes the task as the first line of the child's standard input, then one line for each
round: its number of CPU threads. The child answers each with a line of JSON. When its standard input closes, the parent
is gone, and the child ends.
"""

import os
import queue
import sys
import threading
import time

import psutil
import torch

from blade_tune.data.store import prepare
from blade_tune.fleet.probe_task import Answer, ProbeTask
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.training.device_data import DeviceData, resolve_device
from blade_tune.training.loop import Training
from blade_tune.trial.objective import build_training

# Bytes of a GPU that a process takes besides torch's allocations; about twice what is usual.
CONTEXT = 2**30


class Trainer:
    """The training of one process of a probe, about a tenth of a round at a time.

    Args:
        task: what to train, and on which device.
    """

    def __init__(self, task: ProbeTask) -> None:
        self.round_s = task.round_s
        definition = StudyDefinition.from_stored(task.name, task.definition)
        data = prepare(definition.data, task.data, task.results)
        self.device = resolve_device(task.device)
        length = max_length(definition, task.values)
        device_data = DeviceData.for_search(data, length, definition.objective, self.device)
        training = build_training(definition, task.values, data, device_data, seed=0)
        assert isinstance(training, Training)  # noqa: S101 - a probe is for nothing else
        self.training = training
        self.threads = torch.get_num_threads()
        # A warm-up: the first step allocates, compiles and so on. An evaluation may need more memory than a step.
        self.training.time_steps(1)
        device_data.evaluator(self.training.model)
        step_s = self.training.time_steps(1)
        num_steps = max(1, int(self.round_s / 10 / step_s))
        self.num_steps = min(num_steps, self.training.steps_per_epoch)

    def round(self, threads: int) -> Answer:
        """Train for a round's seconds on at most so many CPU threads, and return the measurements."""
        torch.set_num_threads(min(self.threads, threads))
        num_steps = 0
        start = time.perf_counter()
        while (seconds := time.perf_counter() - start) < self.round_s:
            self.training.time_steps(self.num_steps)
            num_steps += self.num_steps
        needs = [psutil.Process().memory_info().rss]
        free = [psutil.virtual_memory().available]
        if self.device.type == "cuda":
            needs.append(torch.cuda.max_memory_reserved() + CONTEXT)
            free.append(torch.cuda.mem_get_info()[0])
        return Answer(steps_per_s=num_steps / seconds, needs=tuple(needs), free=tuple(free))


def main() -> None:
    """Train a round whenever the parent process asks for one, until it is gone."""
    task = ProbeTask.model_validate_json(sys.stdin.readline())
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # What a library prints must not be read as an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    rounds: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(rounds,), daemon=True).start()
    trainer = Trainer(task)
    answer = Answer()
    while True:
        stream.write(answer.model_dump_json() + "\n")
        stream.flush()
        answer = trainer.round(rounds.get())


def _listen(rounds: "queue.SimpleQueue[int]") -> None:
    """Queue the rounds that the parent process asks for, and end this process when the parent is gone."""
    for line in sys.stdin:
        rounds.put(int(line))
    os._exit(1)  # at once, since the main thread may be in the middle of a long step


if __name__ == "__main__":
    main()

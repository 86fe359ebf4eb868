"""How many workers share a device: the rule on made-up devices, and real processes on this CPU."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.errors import InterruptedStudyError, WorkerError
from blade_tune.fleet import probe
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.probe import MODULE, Largest, Measured, fill, most_useful
from blade_tune.fleet.run import run_workers
from blade_tune.fleet.settings import RunSettings
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals
from tests.cli.program import call, write_study
from tests.tiny import define, tiny_data

CPU = Placement("cpu", "", 1.0, 2)


class Device:
    """Made up: steps per second by number of workers, bytes of one worker, bytes of the device."""

    def __init__(self, steps_per_s: dict[int, float], need: int = 1, size: int = 1000) -> None:
        self.steps_per_s, self.need, self.size = steps_per_s, need, size
        self.tried: list[int] = []

    def measure(self, workers: int) -> Measured:
        assert workers * self.need <= self.size, "memory ran out"
        self.tried.append(workers)
        free = self.size - workers * self.need
        return Measured(workers, self.steps_per_s[workers], (1, self.need), (1000, free))


class Notes(Callback):
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def noted(self, text: str) -> None:
        self.notes.append(text)


def stored(results: Path, trials: int = 8, **changes: object) -> StoredStudy:
    place = Workspace.at(None, results)
    return open_study(define(**changes), tiny_data(results), place, TrialBudget(trials))


@pytest.fixture
def _short(monkeypatch):
    """Rounds of a moment."""
    monkeypatch.setattr(probe, "ROUND_S", 0.2)


# The rule


@pytest.mark.parametrize(
    ("curve", "limit", "chosen"),
    [
        ({1: 10, 2: 11}, 64, 1),  # one fills the device
        ({1: 10, 2: 8}, 64, 1),
        ({1: 10, 2: 19, 4: 30, 8: 33}, 64, 4),
        ({1: 10, 2: 20, 4: 40, 8: 80}, 7, 4),
        ({1: 10}, 1, 1),
    ],
)
def test_workers_double_while_that_pays(curve, limit, chosen):
    """Each doubling must bring over 15% more steps, and the limit is never passed."""
    assert most_useful(Device(curve).measure, limit).workers == chosen


@given(
    st.lists(st.floats(0.1, 100.0), min_size=11, max_size=11),
    st.integers(1, 400),
    st.integers(400, 2000),
    st.integers(1, 1024),
)
def test_the_laws_of_the_choice(speeds, need, size, limit):
    """Whatever the device: never beyond its memory or the limit, and nothing smaller that was tried is as fast."""
    device = Device({2**power: speed for power, speed in enumerate(speeds)}, need, size)
    chosen = most_useful(device.measure, limit)
    assert chosen.workers * need <= size
    assert chosen.workers <= limit
    assert all(
        device.steps_per_s[workers] < chosen.steps_per_s
        for workers in device.tried
        if workers < chosen.workers
    )


def test_memory_has_a_margin():
    """What would fit to the last byte is not tried; nor what only the GPU, or only the machine, has room for."""
    assert Measured(1, 1.0, (10, 10), (13, 13)).has_room_for(1)
    assert not Measured(1, 1.0, (10, 10), (13, 10)).has_room_for(1)
    assert not Measured(1, 1.0, (10, 10), (10, 13)).has_room_for(1)


def test_what_fails_is_too_many(caplog):
    """Where so many do not work, half of them stand; where one does not, nobody knows."""

    def measure(workers):
        if workers > works:
            raise WorkerError("out of memory")
        return Measured(workers, workers, (1,), (1000,))

    works = 4
    assert most_useful(measure, 64).workers == 4
    assert "per_gpu=8 is too many: out of memory" in caplog.text
    works = 0
    with pytest.raises(WorkerError):
        most_useful(measure, 64)


def test_a_costly_configuration_is_tried():
    """The largest number of each range or choice, in the space's own conditions; of other choices the first."""
    space = {
        "model": {
            "num_blocks": {"int": [1, 3]},
            "num_heads": {"choice": [1, 4, 2]},
            "augmentation": {"choice": ["mask", "add"]},
            "mask_exponent": {"choice": [0.5, 1.0], "when": {"augmentation": ["mask"]}},
        },
        "train": {
            "batch_size": {"choice": [64, 16]},
            "learning_rate": {"float": [1e-4, 1e-2], "log": True},
        },
    }
    values = define(space=space).space.suggest(Largest())
    assert {
        name: value for name, value in values.items() if name in define(space=space).space.free
    } == {
        "model.num_blocks": 3,
        "model.num_heads": 4,
        "model.augmentation": "mask",
        "model.mask_exponent": 1.0,
        "train.batch_size": 64,
        "train.learning_rate": 0.01,
    }


# Real processes


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_a_probe_trains_the_study_itself(tmp_path):
    """It gives whole places with equal parts of the device, tells every round, and leaves no process and no trial."""
    study, callback = stored(tmp_path), Notes()
    places = fill([CPU, CPU], study, None, callback, StopSignals())
    assert places in ([CPU] * 2, [Placement("cpu", "", 0.5, 1)] * 4)
    assert callback.notes[0].startswith("probe workers=1 steps_per_s=")
    assert callback.notes[-1] == f"probe per_gpu={len(places) // 2}"
    assert study.trials == []
    assert children() == []


@pytest.mark.parametrize(("place", "trials"), [(CPU, 1), (Placement("cpu", "", 1.0, 1), 8)])
def test_nothing_is_tried_where_one_worker_is_all(place, trials, tmp_path, monkeypatch):
    """With one trial left to do, or one CPU thread, a second worker is of no use."""
    monkeypatch.setattr(probe, "Probe", None)
    assert fill([place], stored(tmp_path, trials), None, Callback(), StopSignals()) == [place]


def test_a_probe_that_fails_leaves_one_worker(tmp_path, caplog):
    """A warning has the reason; the run goes on."""
    study = stored(tmp_path)
    gpu = Placement("cuda", "", 1.0, 2)  # which this process sees none of
    assert fill([gpu], study, None, Callback(), StopSignals()) == [gpu]
    assert "per_gpu=1, for a probe of the device failed: " in caplog.text
    assert "Error: " in caplog.text
    assert children() == []


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_a_run_may_find_out_itself(tmp_path):
    """per_gpu auto is a run like any other, to its last trial; run again, it tries nothing."""
    study, callback = stored(tmp_path, trials=2), Notes()
    for _ in range(2):
        run_workers(study, RunSettings(per_gpu="auto", results=tmp_path), [CPU], callback)
        assert len(study.trials) == 2
    assert sum(note.startswith("probe per_gpu=") for note in callback.notes) == 1


def test_a_signal_ends_a_probe(tmp_path):
    """It is noticed at once, and leaves no process."""
    signals = StopSignals()
    signals.received = signal.SIGINT
    with pytest.raises(InterruptedStudyError):
        fill([CPU], stored(tmp_path), None, Callback(), signals)
    assert children() == []


def test_a_dry_run_tries_nothing(tmp_path):
    """It says auto and what said so, no number of workers, and starts nothing."""
    write_study(tmp_path / "tiny.yaml")
    ended = call(
        "run", "--study", "tiny.yaml", "--dry-run", cwd=tmp_path, env={"BLADE_TUNE_PER_GPU": "auto"}
    )
    assert ended.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if line.strip()}
    assert rows["per_gpu"] == ["auto", "BLADE_TUNE_PER_GPU"]
    assert "worker" not in rows
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.slow
def test_a_probe_dies_with_its_run(tmp_path):
    """Killed outright, a run leaves no process behind, whatever that was doing."""
    stored(tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == "probe\n"
        trainers = psutil.Process(run.pid).children()
        run.kill()
    assert trainers
    _, alive = psutil.wait_procs(trainers, timeout=30)
    assert alive == []


RUN = """
import sys
from pathlib import Path
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.probe import fill
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals
from blade_tune.study.workspace import Workspace

class Tell(Callback):
    def noted(self, text):
        print(text.split()[0], flush=True)

results = Path(sys.argv[1])
study = Workspace.at(None, results).study("tiny")
fill([Placement("cpu", "", 1.0, 2)], study, None, Tell(), StopSignals())
"""


def children() -> list[psutil.Process]:
    """This process's own that are of a probe; zombies are those of other tests."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if MODULE in child.cmdline():
                found.append(child)
    return found

"""Which worker trains where."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from blade_tune.errors import ConfigError
from blade_tune.fleet import devices
from blade_tune.fleet.devices import Machine, Placement, assign, at_most, settled, shared
from blade_tune.fleet.settings import RunSettings

CPU = Machine((), 8)
TWO = Machine(("0", "1"), 8)
LENT = Machine(("3", "5", "GPU-aaa"), 8)  # by a scheduler's CUDA_VISIBLE_DEVICES


def visible(machine: Machine, **given: object) -> list[str]:
    return [place.visible for place in assign(RunSettings(**given), machine)]


def test_a_worker_a_core():
    """Without a GPU each core has a worker of one thread; with more threads a worker, there are fewer."""
    assert assign(RunSettings(), CPU) == [Placement("cpu", "", 1 / 8, 1)] * 8
    assert assign(RunSettings(threads=4), CPU) == [Placement("cpu", "", 1 / 2, 4)] * 2
    assert assign(RunSettings(threads=16), CPU) == [Placement("cpu", "", 1.0, 16)]


def test_a_probe_leaves_a_worker_of_a_cpu_its_one_thread():
    """Or what was asked for; workers of GPUs keep their share of all threads."""
    whole = assign(RunSettings(per_gpu="auto"), CPU)
    for given, threads in ({}, 1), ({"threads": 3}, 3):
        settings = RunSettings(per_gpu="auto", **given)
        assert {place.threads for place in settled(whole, settings)} == {threads}
        assert {place.threads for place in settled(shared(whole, 2), settings)} == {threads}
    gpus = shared(assign(RunSettings(per_gpu="auto"), TWO), 2)
    assert settled(gpus, RunSettings(per_gpu="auto")) == gpus


def test_no_more_workers_start_than_have_work():
    """Fewer trials than cores need fewer workers, which share the CPU; workers on GPUs are left alone."""
    assert at_most(assign(RunSettings(), CPU), 3) == assign(RunSettings(workers=3), CPU)
    assert at_most(assign(RunSettings(), CPU), 9) == assign(RunSettings(), CPU)
    assert at_most(assign(RunSettings(), TWO), 1) == assign(RunSettings(), TWO)


def test_a_worker_a_gpu():
    """Where nothing is said, each GPU has one worker and each worker its share of the threads."""
    assert assign(RunSettings(), TWO) == [
        Placement("cuda", "0", 1.0, 4),
        Placement("cuda", "1", 1.0, 4),
    ]


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 20])
def test_workers_share_a_cpu(workers):
    """However many there are, each has one thread: values do not depend on their number."""
    places = assign(RunSettings(workers=workers), CPU)
    assert places == [Placement("cpu", "", 1 / workers, 1)] * workers


def test_a_cpu_is_used_where_it_is_asked_for():
    """device cpu leaves GPUs alone."""
    assert assign(RunSettings(device="cpu", per_gpu=2), TWO) == assign(RunSettings(), CPU)


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("machine", [TWO, LENT, Machine(("0",), 1)])
def test_gpus_are_filled_in_turn(machine, workers):
    """No GPU has two workers more than another, and the shares of those on a GPU add up to one."""
    places = assign(RunSettings(workers=workers), machine)
    counts = Counter(place.visible for place in places)
    assert len(places) == workers
    assert max(counts.values()) - min(counts.get(gpu, 0) for gpu in machine.gpus) <= 1
    for gpu in counts:
        shares = [
            Fraction(place.share).limit_denominator(100) for place in places if place.visible == gpu
        ]
        assert sum(shares) == 1


def test_several_workers_on_each_gpu():
    """per_gpu is how many, in turn: the first ones land on different GPUs."""
    places = assign(RunSettings(per_gpu=2), TWO)
    assert [place.visible for place in places] == ["0", "1", "0", "1"]
    assert {(place.device, place.share, place.threads) for place in places} == {("cuda", 0.5, 2)}


def test_what_a_probe_shares_are_whole_devices():
    """Under auto each GPU, or the CPU, is one place."""
    assert assign(RunSettings(per_gpu="auto"), TWO) == assign(RunSettings(per_gpu=1), TWO)
    assert assign(RunSettings(per_gpu="auto"), CPU) == [Placement("cpu", "", 1.0, 8)]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_shared_places_are_those_of_so_many_workers(workers):
    """To share each device afterwards gives what asking for so many workers gives at once."""
    assert shared(assign(RunSettings(), TWO), workers) == assign(RunSettings(per_gpu=workers), TWO)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["3", "5", "GPU-aaa"]),
        ({"gpus": "all"}, ["3", "5", "GPU-aaa"]),
        ({"gpus": "0"}, ["3"]),
        ({"gpus": "2, 0"}, ["GPU-aaa", "3"]),
        ({"gpus": "GPU-bbb,MIG-c"}, ["GPU-bbb", "MIG-c"]),
        ({"device": "cuda:1"}, ["5"]),
        ({"device": "cuda"}, ["3", "5", "GPU-aaa"]),
        ({"workers": 2}, ["3", "5"]),
        ({"device": "cuda:1", "workers": 2}, ["5", "5"]),
    ],
)
def test_numbers_count_what_is_visible(given, names):
    """A number is that of a GPU among those lent to this process, an id is passed on as it is."""
    assert visible(LENT, **given) == names


@pytest.mark.parametrize(
    ("machine", "given", "law"),
    [
        (CPU, {"device": "cuda"}, "there is no GPU here"),
        (CPU, {"device": "cuda:0"}, "there is no GPU here"),
        (CPU, {"gpus": "0"}, "there is no GPU here"),
        (
            TWO,
            {"gpus": "0,2"},
            "GPUs are called 0 to 1 here, or by their GPU- and MIG- ids, got '2'",
        ),
        (TWO, {"gpus": "-1"}, "got '-1'"),
        (TWO, {"gpus": "first"}, "got 'first'"),
        (TWO, {"gpus": "0,0"}, "--gpus must name each GPU once, got 0,0"),
        (TWO, {"device": "cuda:2"}, "got '2'"),
        (TWO, {"device": "cuda:"}, "--device must be auto, cpu, cuda or cuda:N, got 'cuda:'"),
        (TWO, {"device": "cpu:0"}, "--device must be auto"),
        (TWO, {"device": "gpu"}, "--device must be auto"),
        (TWO, {"device": "cpu", "gpus": "0"}, "--device cpu and --gpus 0 contradict each other"),
        (
            TWO,
            {"device": "cuda:1", "gpus": "all"},
            "contradict each other; say --device auto, or --gpus none",
        ),
        (
            TWO,
            {"per_gpu": 2, "workers": 5},
            "--workers must be at most 4, --per-gpu 2 on 2 GPUs, got 5",
        ),
        (
            TWO,
            {"per_gpu": "auto", "workers": 2},
            "--per-gpu auto finds out how many workers there are; leave out",
        ),
        (
            TWO,
            {"gpus": "0,1", "workers": 1},
            "--workers must be at least 2, one for each of --gpus, got 1",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused(machine, given, law):
    """GPUs that are not here or named twice, and settings that contradict each other, end before anything starts."""
    with pytest.raises(ConfigError) as refused:
        assign(RunSettings(**given), machine)
    assert law in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "count", "gpus"),
    [
        (None, 2, ("0", "1")),
        ("3, 5", 2, ("3", "5")),
        ("3,99,5", 1, ("3",)),  # CUDA stops at the first that is not there
        ("MIG-a", 1, ("MIG-a",)),
        ("", 0, ()),
        (None, 0, ()),
    ],
)
def test_a_machine_is_what_cuda_shows(monkeypatch, variable, count, gpus):
    """GPUs are called as CUDA_VISIBLE_DEVICES calls them, or are numbered; those that are not there are left out."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    monkeypatch.setattr(devices, "DRIVERS", (Path("/"),))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    machine = Machine.here()
    assert machine.gpus == gpus
    assert machine.threads >= 1

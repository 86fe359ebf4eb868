"""Run settings: each is declared once, with its law, its default and the words of its help."""

from pathlib import Path

import pytest

from blade_tune.config import parse
from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings
from blade_tune.study.progress import SILENT_S


def read(**given: object) -> RunSettings:
    return parse(RunSettings, given, "here")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("8h", 28_800),
        ("1h30m", 5400),
        ("1d2h3m4s", 93_784),
        ("1.5h", 5400),
        ("90", 90),
        ("1e3", 1000),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_a_number_with_units(text, seconds):
    """Days, hours, minutes and seconds add up; a plain number is seconds, as text or as a number."""
    assert read(time=text).time == seconds
    assert read(trial_time=text, heartbeat_s=text).heartbeat_s == seconds


@pytest.mark.parametrize("text", ["", "8 hours", "30m1h", "h", "1h30", "-5m", "PT8H"])
def test_what_is_no_duration_is_told_the_forms(text):
    """Units out of order, signs and other notations are refused with examples of the right form."""
    with pytest.raises(
        ConfigError, match="here: time must be a duration such as 90s, 30m, 8h or 1h30m"
    ) as refused:
        read(time=text)
    assert str(refused.value).endswith(f"got {text!r}.")


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({"time": "0s"}, "time must be greater than 0"),
        ({"trial_time": "inf"}, "trial_time must be a finite number"),
        ({"gpu_hours": 0}, "gpu_hours must be greater than 0"),
        ({"trials": 0}, "trials must be greater than or equal to 1"),
        ({"workers": "two"}, "workers must be a valid integer"),
        ({"per_gpu": 0}, "per_gpu must be a whole number from 1 on, or auto, got 0"),
        ({"per_gpu": "all"}, "per_gpu must be a whole number from 1 on, or auto, got 'all'"),
        ({"per_gpu": 1.5}, "per_gpu must be a whole number"),
        ({"keep": -1}, "keep must be greater than or equal to 1"),
        (
            {"max_consecutive_failures": 0},
            "max_consecutive_failures must be greater than or equal to 1",
        ),
        ({"results": __file__}, "results must be a folder, not a file"),
        ({"wrokers": 2}, "unknown key wrokers. Did you mean workers?"),
    ],
)
def test_a_setting_keeps_its_law(given, law):
    """What cannot be meant is refused with the setting, the law and where it stood."""
    with pytest.raises(ConfigError, match=r"^here: ") as refused:
        read(**given)
    assert law in str(refused.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [("all", "all"), ("0,1", "0,1"), (0, "0"), ([0, 1], "0,1"), ("none", None), (None, None)],
)
def test_gpus_may_be_a_list(given, text):
    """A file may give a number or a list where the flag has commas; none is as if nobody had said anything."""
    assert read(gpus=given).gpus == text


@pytest.mark.parametrize(("given", "number"), [("auto", "auto"), ("2", 2), (2, 2), (None, None)])
def test_workers_on_a_gpu_are_a_number_or_auto(given, number):
    """A flag and a variable say it as text, a file as what it is."""
    assert read(per_gpu=given).per_gpu == number


def test_a_file_knows_the_home_folder(monkeypatch, tmp_path):
    """~ in a file means what a shell makes of it in a flag."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(data="~/data").data == tmp_path / "data"
    assert read(results="here").results == Path("here")


def test_what_nobody_says_has_a_default():
    """Without any setting a run is possible: no limit, the results folder, the whole machine."""
    settings = read()
    assert (settings.keep, settings.max_consecutive_failures, settings.device) == (5, 5, "auto")
    assert (settings.heartbeat_s, settings.grace_s, settings.results) == (30, 120, Path("results"))
    assert settings.grace_s == SILENT_S  # how long the time that is left counts on a silent worker
    limits = {
        "trials",
        "workers",
        "threads",
        "gpus",
        "per_gpu",
        "time",
        "gpu_hours",
        "cpu_price",
        "gpu_price",
        "trial_time",
        "storage",
        "data",
    }
    assert {name for name in RunSettings.model_fields if getattr(settings, name) is None} == limits


def test_every_setting_says_what_it_is():
    """Each has a description that its flag's help is made of: it begins small and ends without a dot."""
    for name, field in RunSettings.model_fields.items():
        assert field.description, name
        assert not field.description.endswith("."), name


def test_a_cost_is_of_the_hours_that_have_a_price():
    """Without any price nothing is said of it; hours that were not counted cost nothing."""
    assert RunSettings().cost(3.0, 2.0) is None
    assert RunSettings(gpu_price=2.5).cost(3.0, 2.0) == 5.0
    assert RunSettings(gpu_price=2.5, cpu_price=0.5).cost(3.0, 2.0) == 6.5
    assert RunSettings(gpu_price=2.5, cpu_price=0.5).cost(None, 2.0) == 5.0

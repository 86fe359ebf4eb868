"""Where run settings come from, and which place wins."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError
from blade_tune.fleet.precedence import BUILT_IN, OF_A_SERVICE, Resolved, resolve
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec.catalog import StudySource


class Places:
    """All places that may say something, in order; each says what it is told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"XDG_CONFIG_HOME": str(root / "config"), "HOME": str(root), "PATH": "/bin"}
        self.flags: dict[str, Any] = {}
        self.study: str | None = None

    def user(self, **said: Any) -> str:
        return self._write(self.root / "config" / "blade-tune" / "config.yaml", said)

    def project(self, **said: Any) -> str:
        self._write(self.root / "blade-tune.yaml", said)
        return "blade-tune.yaml"

    def variable(self, **said: Any) -> str:
        names = {f"BLADE_TUNE_{name.upper()}": str(value) for name, value in said.items()}
        self.environ |= names
        return next(iter(names))

    def study_file(self, **said: Any) -> str:
        self.study = "mine"
        self._write(self.root / "studies" / "mine.yaml", {"model": "blade", "run": said})
        return "studies/mine.yaml"

    def flag(self, **said: Any) -> str:
        self.flags |= said
        return f"--{next(iter(said)).replace('_', '-')}"

    def resolve(self) -> Resolved:
        source = StudySource.find(self.study) if self.study else None
        return resolve(self.flags, source, self.environ)

    def _write(self, path: Path, said: dict[str, Any]) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write_yaml(said), encoding="utf-8")
        return str(path)


ORDER = ("user", "project", "variable", "study_file", "flag")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.chdir(tmp_path)
    return Places(tmp_path)


def test_without_any_word_all_is_built_in(places):
    """Where nothing is said, every setting has its default, and says so."""
    resolved = places.resolve()
    assert resolved.settings == RunSettings()
    assert resolved.origins == dict.fromkeys(RunSettings.model_fields, BUILT_IN)


@pytest.mark.parametrize("place", ORDER)
def test_each_place_wins_over_what_is_built_in(places, place):
    """A setting said in one place has that value and that place as its origin; others stay as they were."""
    origin = getattr(places, place)(max_consecutive_failures=7)
    resolved = places.resolve()
    assert resolved.settings == RunSettings(max_consecutive_failures=7)
    assert resolved.origins == {
        **dict.fromkeys(RunSettings.model_fields, BUILT_IN),
        "max_consecutive_failures": origin,
    }


@pytest.mark.parametrize(("weaker", "stronger"), list(itertools.combinations(ORDER, 2)))
def test_the_later_place_wins(places, weaker, stronger):
    """User file < project file < environment < study file < flags, setting by setting."""
    first = getattr(places, weaker)(workers=2, keep=2)
    second = getattr(places, stronger)(keep=3)
    resolved = places.resolve()
    assert (resolved.settings.keep, resolved.settings.workers) == (3, 2)
    assert (resolved.origins["keep"], resolved.origins["workers"]) == (second, first)


@pytest.mark.parametrize("place", ORDER)
def test_a_broken_law_names_its_place(places, place):
    """The file, variable or flag that says something impossible is the first word of the error, even where it loses."""
    origin = getattr(places, place)(workers=0)
    if place != "flag":
        places.flag(workers=1)
    with pytest.raises(
        ConfigError, match=r"workers must be greater than or equal to 1, got"
    ) as refused:
        places.resolve()
    assert str(refused.value).startswith(f"{origin}: ")


@pytest.mark.parametrize("place", ORDER)
def test_an_unknown_name_gets_a_guess(places, place):
    """Nothing is ignored: a misspelled setting is refused where it stands, with the nearest known one."""
    origin = getattr(places, place)(wrokers=2)
    with pytest.raises(
        ConfigError, match=r"unknown key wrokers\. Did you mean workers\?"
    ) as refused:
        places.resolve()
    assert str(refused.value).startswith(f"{origin}: ")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("seed", "search.seed"),
        ("sampler", "search.sampler"),
        ("max_epochs", "train.max_epochs"),
        ("epochs", "train.max_epochs"),
        ("metric", "objective.metric"),
        ("space", "space"),
    ],
)
@pytest.mark.parametrize("place", ["user", "project", "variable", "study_file"])
def test_no_place_but_the_study_says_what_it_asks(places, place, name, where):
    """Seed, epochs, metric and their kind are refused everywhere else, with their place in a study file."""
    getattr(places, place)(**{name: 1})
    with pytest.raises(
        ConfigError, match=f"{name} says what a study is.* into the study file as {where}"
    ):
        places.resolve()


def test_the_trials_of_a_study_are_those_of_its_search(places):
    """search.trials is the study file's word; without it a weaker place's holds; `run` has no second one."""
    places.project(trials=7)
    path = places.root / "studies" / "mine.yaml"
    places.study_file()
    assert places.resolve().settings.trials == 7
    path.write_text("search: {trials: 9}\n")
    resolved = places.resolve()
    assert (resolved.settings.trials, resolved.origins["trials"]) == (9, "studies/mine.yaml")
    path.write_text("search: {trials: 9}\nrun: {trials: 8}\n")
    with pytest.raises(ConfigError, match=r"run\.trials belongs into search\.trials"):
        places.resolve()


@pytest.mark.parametrize(
    "name",
    ["mine", "studies/mine.yaml", "mine-blade_released", "mine-published", "mine-sasrec-published"],
)
def test_a_study_is_found_by_any_of_its_names(places, name):
    """By its own, by its path, and by those it is stored under with another model, another recipe, or both."""
    places.study_file(storage="sqlite:///there.db")
    places.study = name
    assert places.resolve().settings.storage == "sqlite:///there.db"


def test_a_study_without_a_file_says_nothing(places):
    """A study that is only stored is resolved without its file."""
    places.study = "nowhere"
    assert places.resolve().settings == RunSettings()


@pytest.mark.parametrize("text", ["run: [1]", "run: 5", "search: 5"])
def test_a_section_is_a_mapping(places, text):
    """`run` and `search` are refused where they are something else."""
    places.study_file()
    (places.root / "studies" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"studies/mine\.yaml: (run|search) must be a mapping"):
        places.resolve()


def test_a_variable_of_others_is_none_of_ours(places):
    """The tests' own, other people's variables and empty ones say nothing."""
    places.environ |= {"TEST_BLADE_TUNE_DATA": "x", "OTHER_WORKERS": "9", "BLADE_TUNE_WORKERS": ""}
    assert places.resolve().settings == RunSettings()


def test_a_flag_that_was_not_typed_says_nothing(places):
    """None is no word: what a weaker place says holds."""
    places.project(keep=2)
    places.flag(keep=None)
    assert places.resolve().settings.keep == 2


def test_a_stronger_place_may_unset(places):
    """null in a file, and --gpus none, take back what a weaker place says."""
    places.user(storage="sqlite:///x.db", gpus="all")
    places.project(storage=None)
    places.flag(gpus="none")
    resolved = places.resolve()
    assert (resolved.settings.storage, resolved.settings.gpus) == (None, None)
    assert resolved.origins["storage"] == "blade-tune.yaml"


def test_the_user_file_is_in_the_home_folder(places, monkeypatch):
    """Without XDG_CONFIG_HOME it is ~/.config/blade-tune/config.yaml."""
    places.user(keep=2)
    (places.root / "config").rename(places.root / ".config")
    monkeypatch.setenv("HOME", str(places.root))
    del places.environ["XDG_CONFIG_HOME"]
    assert places.resolve().settings.keep == 2


def test_silence_is_judged_after_two_heartbeats_at_least(places):
    """A grace period of less is refused with both values and what said them, whoever says the one and the other."""
    places.project(heartbeat_s=100)
    with pytest.raises(ConfigError, match=r"got 120 \(built-in\) and 100 \(blade-tune.yaml\)"):
        places.resolve()
    places.flag(grace_s="200s")
    assert places.resolve().settings.grace_s == 200


LINKS = (
    *(
        "BLADE_TUNE_SERVICE_HOST",
        "BLADE_TUNE_SERVICE_PORT",
        "BLADE_TUNE_SERVICE_PORT_HTTP",
        "BLADE_TUNE_PORT",
    ),
    *("BLADE_TUNE_PORT_80_TCP", "BLADE_TUNE_PORT_80_TCP_ADDR", "BLADE_TUNE_PORT_80_UDP_PROTO"),
    *("BLADE_TUNE_DB_SERVICE_HOST", "BLADE_TUNE_STORAGE_PORT_5432_TCP_PORT"),
)


def test_what_kubernetes_sets_for_a_service_is_ignored_with_a_hint(places, caplog):
    """Of a Service called blade-tune, or one that begins so; settings beside them count, none is called so."""
    for name in LINKS:
        places.environ[name] = "tcp://10.0.0.1:80"
    places.variable(workers=3)
    assert places.resolve().settings.workers == 3
    assert "enableServiceLinks: false" in caplog.text
    assert all(name in caplog.text for name in LINKS)
    assert not any(
        OF_A_SERVICE.fullmatch(f"BLADE_TUNE_{name.upper()}") for name in RunSettings.model_fields
    )


def test_a_misspelled_variable_is_still_an_error(places):
    """With a guess."""
    places.environ["BLADE_TUNE_WORKRES"] = "3"
    with pytest.raises(ConfigError, match=r"BLADE_TUNE_WORKRES: .*Did you mean workers"):
        places.resolve()


@pytest.mark.parametrize("content", ["", "\n", "# workers: 3\n", "---\n"])
def test_an_empty_settings_file_says_nothing(places, content):
    """Neither the project's nor the user's."""
    Path("blade-tune.yaml").write_text(content)
    assert places.resolve().settings == RunSettings()

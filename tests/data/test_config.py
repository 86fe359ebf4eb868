"""Settings of a data set."""

import pytest

from blade_tune.data.sources import SOURCES
from blade_tune.data.sources.base import Source
from blade_tune.errors import ConfigError
from blade_tune.registry import load
from tests.data.examples import SPLIT_FILES, SYNTHETIC, config


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_one(name: str) -> None:
    """A name in SOURCES loads a Source whose Config says how it is described."""
    source = load(SOURCES, "source", name)
    assert issubclass(source, Source)
    assert all(field.description for field in source.Config.model_fields.values())


def test_the_source_picks_the_settings() -> None:
    """A field that only one source has is known to that source, and unknown to others."""
    assert config(SYNTHETIC, num_users=50).num_users == 50
    with pytest.raises(ConfigError, match=r"^test: unknown key num_users"):
        config(SPLIT_FILES, num_users=50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "split_file"}, "test: unknown source 'split_file'. Did you mean split_files?"),
        ({"source": None}, "test: source"),
        (
            {"behaviors": ["click", "like", "click"]},
            "test: behaviors must differ, got click, like, click.",
        ),
        ({"behaviors": []}, "test: behaviors"),
        (
            {"auxiliary": "read"},
            "test: auxiliary must be one of the behaviors click, like, share, follow, got read.",
        ),
        (
            {"auxiliary": ["click", "read"]},
            "test: auxiliary must be one of the behaviors click, like, share, follow, got read.",
        ),
        (
            {"auxiliary": ["like", "click", "like"]},
            "test: auxiliary must name a behavior once, got like twice.",
        ),
        (
            {"auxiliary": ["follow", "share", "like", "click"]},
            "test: auxiliary must leave a behavior that is a target, got all: click, like, share, follow; null makes",
        ),
        ({"auxiliary": 3}, "test: auxiliary must be a behavior, a list of behaviors, or null, got"),
        ({"auxiliary": ["click", None]}, "test: auxiliary must be a behavior, a list of behaviors"),
        (
            {"long_tail": ["share", "x"]},
            "test: long_tail must be one of the behaviors click, like, share, follow, got",
        ),
        ({"name": "../up"}, "test: name"),
    ],
)
def test_what_a_data_section_may_not_say(changes: dict[str, object], message: str) -> None:
    """A section that breaks a law is refused at the door, with its place."""
    with pytest.raises(ConfigError) as refusal:
        config(**changes)
    assert str(refusal.value).startswith(message)
    if "auxiliary" in changes:
        assert "\n" not in str(refusal.value)


def test_the_source_is_required() -> None:
    """A section without a source says that one is missing."""
    with pytest.raises(ConfigError, match=r"test: source is required\."):
        config({key: value for key, value in SPLIT_FILES.items() if key != "source"})


@pytest.mark.parametrize(
    "changes", [{"num_items": 301}, {"num_clusters": 4, "num_items": 40}, {"max_length": 7}]
)
def test_what_made_up_data_may_not_be(changes: dict[str, int]) -> None:
    """Numbers that cannot go together are refused, with the numbers."""
    with pytest.raises(
        ConfigError, match=r"^test: num_items must|^test: num_clusters must|^test: max_length must"
    ):
        config(SYNTHETIC, **changes)

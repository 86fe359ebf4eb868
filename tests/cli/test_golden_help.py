"""Help texts are those that were looked at; what changes one is seen in a review."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_help import COMMANDS, help_of

FOLDER = Path(__file__).parents[1] / "golden" / "help"


def name_of(words: tuple[str, ...]) -> str:
    """The file of a command's help text."""
    return f"{'-'.join(words) or 'blade-tune'}.txt"


@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_as_it_was_looked_at(
    words: tuple[str, ...], golden: Callable[[str, str], str]
) -> None:
    """The text at 80 columns is the stored one; `pytest --update-golden` stores it anew."""
    now = help_of(words)
    assert now == golden(f"help/{name_of(words)}", now)


def test_no_text_is_of_a_command_that_is_gone() -> None:
    """There is one file a command."""
    known = {name_of(parameters.values[0]) for parameters in COMMANDS}
    assert {path.name for path in FOLDER.iterdir()} == known

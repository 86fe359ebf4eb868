"""Text of others, as a terminal may show it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.printable import printable, printable_lines


@given(text=st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    """Whatever a text holds, what is shown has neither control characters nor marks of direction; the rest stays."""
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert "".join(c for c in text if c.isprintable()) == "".join(c for c in text if c in shown and c.isprintable())
    assert printable(shown) == shown
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u\x9b31mred", "u\\x9b31mred"),
        ("u\u202egpj.exe", "u\\u202egpj.exe"),
        ("a\x1b]0;title\x07", "a\\x1b]0;title\\x07"),
        ("Zürich 東京 عربى", "Zürich 東京 عربى"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_has_no_shape_stands_as_its_code(text: str, shown: str) -> None:
    """C1 sequences, overrides of direction and lone surrogates; letters of every language stay."""
    assert printable(text) == shown


def test_lines_stay_lines() -> None:
    """Only the line ends of a message are left."""
    assert printable_lines("a\nb\rc") == "a\nb\\rc"

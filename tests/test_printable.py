"""Text of others, as a terminal may show it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.cli.output import print_rows
from blade_tune.printable import STEERING, printable, printable_lines
from blade_tune.report import theme


@given(text=st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    """Whatever a text holds, what is shown has neither control characters nor marks of direction; the rest stays."""
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert printable(shown) == shown
    assert shown == text or not text.isprintable()
    for mark in text:
        assert printable(mark) == mark or unicodedata.category(mark) in STEERING


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u\x9b31mred", "u\\x9b31mred"),
        ("u\u202egpj.exe", "u\\u202egpj.exe"),
        ("a\x1b]0;title\x07", "a\\x1b]0;title\\x07"),
        ("Zürich 東京 عربى 1\u202f000", "Zürich 東京 عربى 1\u202f000"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_has_no_shape_stands_as_its_code(text: str, shown: str) -> None:
    """C1 sequences, overrides of direction and lone surrogates; letters of every language stay."""
    assert printable(text) == shown


def test_lines_stay_lines() -> None:
    """Only the line ends of a message are left."""
    assert printable_lines("a\nb\rc") == "a\nb\\rc"


def test_a_table_and_an_error_show_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A tag with escape characters reaches neither a table nor a figure as it is."""
    print_rows([{"tag": "a\x1b[31mb\u202ec"}], "table")
    assert "a\\x1b[31mb\\u202ec" in capsys.readouterr().out
    assert theme.shown("<a\u202e>") == "&lt;a\\u202e&gt;"

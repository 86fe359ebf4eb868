"""Tables for papers: what is best, what is escaped, and that LaTeX takes them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.report.escaping import escape_latex, escape_markdown
from blade_tune.report.text_tables import HTML, MARKDOWN, Cell, Table, latex, markdown, texts
from tests.report.latex import compile_latex

EVERYTHING = Table(
    columns=["model", "NDCG@10", "HR@10", "told sets"],
    rows=[
        ("blade_released", [Cell(0.12344, 0.001, "*"), Cell(0.5, 0.01), "yes"]),
        ("a & b | 100% #1 $x$ {y} ~ ^ \\ `z`", [Cell(0.12341, 0.002), Cell(0.4), "no"]),
        ("[first] -- <second>\nthird", [Cell(0.1, 0.02, "†"), Cell(-0.00001, 0.1), None]),
        ("*starred* λ = ½ 中", [Cell(0.05), None, ""]),
    ],
    caption="Means ± sd of data_set over 5 seeds",
    footnotes=["* differs: p < 0.05", "† of 3 seeds & fewer"],
)


def column(*entries: Cell | str | None, digits: int = 4) -> list[str]:
    """The cells of one column, in Markdown."""
    table = Table(
        ["", "x"], [(str(row), [entry]) for row, entry in enumerate(entries)], digits=digits
    )
    return [cells[1] for cells in texts(table, MARKDOWN)]


def test_the_best_is_bold_and_the_second_underlined():
    """Within each column, whatever the others hold."""
    assert column(Cell(0.1), Cell(0.3), Cell(0.2)) == ["0.1000", "**0.3000**", "<u>0.2000</u>"]


def test_two_bests_leave_no_second():
    """Means that print alike share their rank, whatever their further digits."""
    assert column(Cell(0.30001), Cell(0.29999), Cell(0.2)) == ["**0.3000**", "**0.3000**", "0.2000"]
    assert column(Cell(0.301), Cell(0.299), Cell(0.2), digits=3) == [
        "**0.301**",
        "<u>0.299</u>",
        "0.200",
    ]


def test_two_seconds_are_both_underlined():
    """A shared second place is one."""
    assert column(Cell(0.3), Cell(0.2), Cell(0.2)) == [
        "**0.3000**",
        "<u>0.2000</u>",
        "<u>0.2000</u>",
    ]


def test_text_and_nothing_are_not_ranked():
    """Only cells have a rank; a mean that is no number has none either."""
    assert column("9", None, Cell(0.1), Cell(float("nan"))) == ["9", "", "**0.1000**", "nan"]


def test_minus_zero_is_zero():
    """A mean that rounds to nothing has no sign."""
    assert column(Cell(-0.00001)) == ["**0.0000**"]


def test_marks_follow_the_deviation():
    """The superscript stands at the end of its cell."""
    assert column(Cell(0.1, 0.02, "*")) == ["**0.1000** ± 0.0200<sup>\\*</sup>"]


def test_rows_have_an_entry_a_column():
    """A row that is too short is refused, with its label."""
    with pytest.raises(ValueError, match="Row 'b' must have 1 entries, got 0"):
        Table(["", "x"], [("a", ["1"]), ("b", [])])


@pytest.mark.parametrize("render", [markdown, latex])
def test_a_table_without_rows_is_its_head(render):
    """It has its columns and no row."""
    assert "model" in render(Table(["model", "x"], []))


@given(st.text())
def test_markdown_text_stays_in_its_cell(text):
    """Whatever the text, no pipe ends its cell, no tag begins and no line ends."""
    escaped = escape_markdown(text)
    assert not re.search(r"(?<!\\)(\\\\)*[|<]", escaped)
    assert len(escaped.splitlines()) <= 1


@given(st.text())
def test_latex_text_has_no_live_mark(text):
    """Whatever the text, LaTeX gets letters that it has, balanced braces, and no mark that is not escaped."""
    escaped = escape_latex(text)
    assert not re.search(r"(?<!\\)[&%#_]|\\\\|~", escaped)
    bare = re.sub(r"\\[{}]", "", escaped)
    assert bare.count("{") == bare.count("}")
    assert all(character.isascii() or character.isalpha() for character in escaped)


@given(st.text())
def test_html_text_is_text(text):
    """Whatever the text, the page gets no tag from it."""
    assert not re.search("[<>\"']", HTML.escape(text))


@pytest.mark.parametrize(("render", "name"), [(markdown, "table.md"), (latex, "table.tex")])
def test_the_same_table_is_the_same_text(golden, render, name):
    """Everything at once, character by character; `pytest --update-golden` after a change that is meant."""
    assert render(EVERYTHING) == golden(name, render(EVERYTHING))


def test_latex_takes_the_table(tmp_path):
    """A document that loads booktabs and nothing else compiles, also where text begins with what a line's end takes."""
    compile_latex(tmp_path, latex(EVERYTHING))


def test_latex_takes_every_letter(tmp_path):
    """Each character of some alphabets, with all that have an escape, in a table's row."""
    letters = [
        chr(code)
        for block in (range(32, 127), range(160, 592), range(880, 1024), range(8192, 8480))
        for code in block
    ]
    rows = [(letter, [letter * 2, f"a{letter}b"]) for letter in letters]
    compile_latex(
        tmp_path,
        "\n\\clearpage\n".join(
            latex(Table(["", "x", "y"], rows[i : i + 40])) for i in range(0, len(rows), 40)
        ),
    )

"""Tables as HTML, Markdown or LaTeX, in which the best of a column is bold and the second best underlined."""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from blade_tune.report.escaping import escape_latex, escape_markdown, one_line


@dataclass(frozen=True)
class Cell:
    """A mean in a table, which is ranked within its column."""

    mean: float
    sd: float | None = None  # over seeds
    mark: str = ""  # shown as a superscript; a footnote says what it means


Entry = Cell | str | None  # text is not ranked; None is an empty cell


@dataclass(frozen=True)
class Table:
    """A table of means, of which higher ones are better, and text."""

    columns: Sequence[str]  # the first is that of the rows' labels
    rows: Sequence[tuple[str, Sequence[Entry]]]  # a label, then an entry for each further column
    caption: str = ""
    footnotes: Sequence[str] = ()
    digits: int = 4  # printed after the point

    def __post_init__(self) -> None:
        for label, entries in self.rows:
            if len(entries) != len(self.columns) - 1:
                raise ValueError(
                    f"Row {label!r} must have {len(self.columns) - 1} entries, got {len(entries)}."
                )

    def ranks(self) -> list[list[int | None]]:
        """Return each cell's rank in its column, from 1, and None for text.

        Means that print the same share a rank and leave the next one empty, so a column may have no second best.
        """
        ranks = [self._column_ranks(column) for column in self._entry_columns()]
        return [[column[row] for column in ranks] for row in range(len(self.rows))]

    def _column_ranks(self, entries: Iterable[Entry]) -> list[int | None]:
        means = [entry.mean if isinstance(entry, Cell) else math.nan for entry in entries]
        printed = [round(mean, self.digits) for mean in means]
        return [None if math.isnan(m) else 1 + sum(other > m for other in printed) for m in printed]

    @property
    def has_numbers(self) -> list[bool]:
        """Whether each column holds numbers, which are aligned to the right; labels are aligned to the left."""
        return [False, *(all(map(_is_number, column)) for column in self._entry_columns())]

    def _entry_columns(self) -> list[list[Entry]]:
        return [
            [entries[place] for _, entries in self.rows] for place in range(len(self.columns) - 1)
        ]


@dataclass(frozen=True)
class Dialect:
    """Markup of a language for the parts of a table; {} stands for the text."""

    escape: Callable[[str], str]
    bold: str
    underlined: str
    superscript: str
    plus_minus: str
    minus: str


HTML = Dialect(
    escape=lambda text: html.escape(one_line(text)),
    bold="<b>{}</b>",
    underlined="<u>{}</u>",
    superscript="<sup>{}</sup>",
    plus_minus=" ± ",
    minus="\N{MINUS SIGN}",
)
MARKDOWN = Dialect(
    escape=escape_markdown,
    bold="**{}**",
    underlined="<u>{}</u>",
    superscript="<sup>{}</sup>",
    plus_minus=" ± ",
    minus="-",
)
LATEX = Dialect(
    escape=escape_latex,
    bold=r"\textbf{{{}}}",
    underlined=r"\underline{{{}}}",
    superscript=r"\textsuperscript{{{}}}",
    plus_minus=r" $\pm$ ",
    minus="$-$",
)


def among_baselines(
    rows: Sequence[tuple[str, Sequence[Entry]]],
    figures: Sequence[float],
    baselines: Mapping[str, float],
    entries: Callable[[float], Sequence[Entry]],
) -> list[tuple[str, Sequence[Entry]]]:
    """Return the rows of models and of untuned baselines, the highest figure first.

    Args:
        rows: the rows of models.
        figures: the figure of each of these rows.
        baselines: name of a baseline -> its figure.
        entries: makes the entries of a baseline's row from its figure.
    """
    placed = [*zip(figures, rows, strict=True)]
    placed += [
        (reached, (f"{name}, untuned", entries(reached))) for name, reached in baselines.items()
    ]
    return [row for _, row in sorted(placed, key=lambda one: -one[0])]


def texts(table: Table, dialect: Dialect) -> list[list[str]]:
    """Return every row as texts in a dialect, its label first."""
    return [
        [
            dialect.escape(label),
            *(
                _text(entry, rank, table.digits, dialect)
                for entry, rank in zip(entries, ranks, strict=True)
            ),
        ]
        for (label, entries), ranks in zip(table.rows, table.ranks(), strict=True)
    ]


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, after its caption and before its footnotes."""
    align = ["right" if is_number else "left" for is_number in table.has_numbers]
    body = _frame(table, MARKDOWN).to_markdown(index=False, disable_numparse=True, colalign=align)
    before, after = filter(None, [table.caption]), table.footnotes
    return "\n\n".join([*map(escape_markdown, before), body, *map(escape_markdown, after)]) + "\n"


def latex(table: Table) -> str:
    r"""Return a table as a LaTeX float, which needs \usepackage{booktabs}."""
    columns = "".join("r" if is_number else "l" for is_number in table.has_numbers)
    body = _frame(table, LATEX).to_latex(index=False, escape=False, column_format=columns)
    caption = [rf"\caption{{{escape_latex(table.caption)}}}"] if table.caption else []
    notes = [
        rf"\par\smallskip{{\footnotesize {escape_latex(note)}\par}}" for note in table.footnotes
    ]
    return (
        "\n".join(
            [r"\begin{table}", r"\centering", *caption, body.rstrip(), *notes, r"\end{table}"]
        )
        + "\n"
    )


def _frame(table: Table, dialect: Dialect) -> pd.DataFrame:
    return pd.DataFrame(
        texts(table, dialect), columns=[dialect.escape(name) for name in table.columns], dtype=str
    )


def _text(entry: Entry, rank: int | None, digits: int, dialect: Dialect) -> str:
    if not isinstance(entry, Cell):
        return dialect.escape(entry or "")
    mean = f"{entry.mean:z.{digits}f}".replace("-", dialect.minus)
    styled = {1: dialect.bold, 2: dialect.underlined}.get(rank or 0, "{}").format(mean)
    spread = "" if entry.sd is None else f"{dialect.plus_minus}{entry.sd:.{digits}f}"
    return (
        styled
        + spread
        + (dialect.superscript.format(dialect.escape(entry.mark)) if entry.mark else "")
    )


def _is_number(entry: Entry) -> bool:
    return not isinstance(entry, str) or not entry[:1].isalpha()

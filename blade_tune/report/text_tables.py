"""Tables as HTML, Markdown or LaTeX, in which the best of a column is bold and the second best underlined."""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
        by_column = [self._column_ranks(column) for column in self._entry_columns()]
        return [[ranks[row] for ranks in by_column] for row in range(len(self.rows))]

    def _column_ranks(self, entries: Iterable[Entry]) -> list[int | None]:
        means = [entry.mean if isinstance(entry, Cell) else math.nan for entry in entries]
        printed = [round(mean, self.digits) for mean in means]
        ranks: list[int | None] = []
        for mean in printed:
            num_higher = sum(other > mean for other in printed)
            ranks.append(None if math.isnan(mean) else 1 + num_higher)
        return ranks

    @property
    def has_numbers(self) -> list[bool]:
        """Whether each column holds numbers, which are aligned to the right; labels are aligned to the left."""
        return [False, *(all(map(_is_number, column)) for column in self._entry_columns())]

    def _entry_columns(self) -> list[list[Entry]]:
        num_columns = len(self.columns) - 1
        return [[entries[column] for _, entries in self.rows] for column in range(num_columns)]


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
PLAIN = Dialect(
    escape=one_line, bold="{}", underlined="{}", superscript="{}", plus_minus=" ± ", minus="-"
)
STYLED = replace(PLAIN, bold="\x1b[1m{}\x1b[0m", underlined="\x1b[4m{}\x1b[0m")  # as terminals do
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
    with_figures = [*zip(figures, rows, strict=True)]
    for name, figure in baselines.items():
        row = (f"{name}, untuned", entries(figure))
        with_figures.append((figure, row))
    with_figures.sort(key=lambda pair: -pair[0])
    return [row for _, row in with_figures]


def texts(table: Table, dialect: Dialect) -> list[list[str]]:
    """Return every row as texts in a dialect, its label first."""
    rows = []
    for (label, entries), ranks in zip(table.rows, table.ranks(), strict=True):
        row = [dialect.escape(label)]
        for entry, rank in zip(entries, ranks, strict=True):
            row.append(_text(entry, rank, table.digits, dialect))
        rows.append(row)
    return rows


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, after its caption and before its footnotes."""
    align = ["right" if is_number else "left" for is_number in table.has_numbers]
    body = _frame(table, MARKDOWN).to_markdown(index=False, disable_numparse=True, colalign=align)
    paragraphs = [escape_markdown(table.caption)] if table.caption else []
    paragraphs.append(body)
    paragraphs += map(escape_markdown, table.footnotes)
    return "\n\n".join(paragraphs) + "\n"


def latex(table: Table) -> str:
    r"""Return a table as a LaTeX float, which needs \usepackage{booktabs}."""
    columns = "".join("r" if is_number else "l" for is_number in table.has_numbers)
    body = _frame(table, LATEX).to_latex(index=False, escape=False, column_format=columns)
    lines = [r"\begin{table}", r"\centering"]
    if table.caption:
        lines.append(rf"\caption{{{escape_latex(table.caption)}}}")
    lines.append(body.rstrip())
    for note in table.footnotes:
        lines.append(rf"\par\smallskip{{\footnotesize {escape_latex(note)}\par}}")
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def _frame(table: Table, dialect: Dialect) -> pd.DataFrame:
    columns = [dialect.escape(name) for name in table.columns]
    return pd.DataFrame(texts(table, dialect), columns=columns, dtype=str)


def _text(entry: Entry, rank: int | None, digits: int, dialect: Dialect) -> str:
    if not isinstance(entry, Cell):
        return dialect.escape(entry or "")
    mean = f"{entry.mean:z.{digits}f}".replace("-", dialect.minus)
    style = {1: dialect.bold, 2: dialect.underlined}.get(rank or 0, "{}")
    text = style.format(mean)
    # Only the mean has the style; its deviation and its mark follow it
    if entry.sd is not None:
        text += f"{dialect.plus_minus}{entry.sd:.{digits}f}"
    if entry.mark:
        text += dialect.superscript.format(dialect.escape(entry.mark))
    return text


def _is_number(entry: Entry) -> bool:
    return not isinstance(entry, str) or not entry[:1].isalpha()

"""A report as files: an HTML page that needs no network, and its tables in Markdown and LaTeX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from blade_tune.printable import printable_lines
from blade_tune.report.section import Section
from blade_tune.report.text_tables import HTML, Table, latex, markdown, texts
from blade_tune.storage.folder import write_text

TEX_HEAD = "% Needs \\usepackage{booktabs}.\n"


@dataclass(frozen=True)
class Document:
    """What stands on a page."""

    name: str  # of what it is about
    lead: str  # the sentence under the name
    protocol: str  # the line that says how the figures were made
    headline: Mapping[str, tuple[str, str]]  # name of a number -> the number, and an explanation
    sections: Sequence[Section]
    written: str  # the sentence on what it was made from


def write_document(document: Document, out: Path) -> list[Path]:
    """Write report.html, tables.md and tables.tex to a folder, and return their paths."""
    titled = [(section.title, section.table) for section in document.sections if section.table]
    contents = {
        "report.html": page(document),
        "tables.md": "\n".join(f"## {title}\n\n{markdown(table)}" for title, table in titled),
        "tables.tex": "\n".join([TEX_HEAD, *(latex(table) for _, table in titled)]),
    }
    for name, text in contents.items():
        write_text(out / name, text)
    return [out / name for name in contents]


def page(document: Document) -> str:
    """Return the page as HTML that contains all its scripts, styles and figures."""
    # Study names, parameters and errors are user text: all text is escaped unless it is our own Markup.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    environment.filters |= {"cells": _cells, "figure_json": _figure_json}
    source = resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
    template = environment.from_string(source)
    # Figures need plotly's script of several megabytes
    has_figures = any(section.figure for section in document.sections)
    plotly = Markup(get_plotlyjs()) if has_figures else ""  # noqa: S704 - no user text
    return template.render(document=document, plotly=plotly)


def _inert(value: Any) -> Any:
    """Return user text without characters that could reverse its direction; our own markup is returned as it is."""
    is_user_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable_lines(value) if is_user_text else value


def _cells(table: Table) -> list[list[Markup]]:
    """Return a table's rows as HTML, in which all user text is escaped."""
    return [[Markup(text) for text in row] for row in texts(table, HTML)]  # noqa: S704


def _figure_json(figure: Any) -> Markup:
    """Return a figure as JSON that is safe inside a script element."""
    return Markup(figure.to_json().replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704

"""A report as files: an HTML page that needs no network, and its tables in Markdown and LaTeX."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from blade_tune.printable import printable_lines
from blade_tune.report import theme
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
    talk: go.Figure | None = None  # the one figure for a talk


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
    environment.filters |= {
        "breakable": _breakable,
        "cells": _cells,
        "figure_json": _figure_json,
    }
    template = environment.from_string(_own("page.html.j2"))
    # Figures need plotly's script of several megabytes
    has_figures = any(section.figure for section in document.sections)
    scripts = [get_plotlyjs(), _look() + _own("page.js")] if has_figures else []
    return template.render(
        document=document,
        style=Markup(_own("page.css")),  # noqa: S704 - no user text
        scripts=[*map(Markup, scripts)],
    )


def _own(name: str) -> str:
    """Return the text of one of the page's own files."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _look() -> str:
    """Return the look of figures on a light and on a dark page, as the beginning of a script.

    A page has it once, not in each figure; figures are recolored from light to dark when they are drawn.
    """
    look = {
        "light": theme.TEMPLATE.to_plotly_json(),
        "dark": theme.dark_template().to_plotly_json(),
        "colors": theme.DARK,
    }
    return f"const LOOK = {to_json_plotly(look)};\n"


def _inert(value: Any) -> Any:
    """Return user text without characters that could reverse its direction; our own markup is returned as it is."""
    is_user_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable_lines(value) if is_user_text else value


def _cells(table: Table) -> list[list[Markup]]:
    """Return a table's rows as HTML, in which all user text is escaped, and whose labels may be broken."""
    rows = []
    for label, *cells in texts(table, HTML):
        rows.append([Markup(_broken(label)), *map(Markup, cells)])  # noqa: S704
    return rows


def _breakable(text: str) -> Markup:
    """Return text as HTML that may be broken into lines within long names."""
    return Markup(_broken(str(escape(printable_lines(text)))))  # noqa: S704


def _broken(html: str) -> str:
    """Return HTML that may be broken into lines after a point or an underscore."""
    return re.sub(r"([._])(?=[^\W\d])", r"\1<wbr>", html)


def _figure_json(figure: Any) -> Markup:
    """Return a figure without its template as JSON that is safe inside a script element."""
    plain = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return Markup(to_json_plotly(plain).replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704

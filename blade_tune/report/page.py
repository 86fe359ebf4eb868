"""Report of a study: an HTML page that needs no network, and its tables in Markdown and LaTeX."""

from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from blade_tune.errors import DataError
from blade_tune.printable import printable_lines
from blade_tune.report import choice, data, search
from blade_tune.report.section import Section, Study, plural
from blade_tune.report.text_tables import HTML, Table, latex, markdown, texts
from blade_tune.storage.folder import write_text
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import is_popularity
from blade_tune.training.baselines import REFERENCE
from blade_tune.trial.provenance import now

PARTS: tuple[Callable[[Study], Iterator[Section]], ...] = (
    choice.winner,
    choice.candidates,
    choice.effects,
    search.history,
    search.learning_curves,
    search.importances,
    search.parameters,
    search.expected_best,
    search.cost,
    search.prune_audit,
    search.trials,
    data.xray,
    search.identity,
    search.ledger,
)
TEX_HEAD = "% Needs \\usepackage{booktabs}.\n"


def write_report(stored: StoredStudy, out: Path) -> list[Path]:
    """Write report.html, tables.md and tables.tex to a folder, and return their paths."""
    study = Study(stored)
    sections = [section for part in PARTS for section in part(study)]
    titled = [(section.title, section.table) for section in sections if section.table]
    contents = {
        "report.html": page(study, sections),
        "tables.md": "\n".join(f"## {title}\n\n{markdown(table)}" for title, table in titled),
        "tables.tex": "\n".join([TEX_HEAD, *(latex(table) for _, table in titled)]),
    }
    for name, text in contents.items():
        write_text(out / name, text)
    return [out / name for name in contents]


def page(study: Study, sections: list[Section]) -> str:
    """Return the page as HTML that contains all its scripts, styles and figures."""
    # Study names, parameters and errors are user text: everything is escaped unless it is our own Markup.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    environment.filters |= {"cells": _cells, "figure_json": _figure_json}
    template = environment.from_string(
        resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
    )
    plotly = Markup(get_plotlyjs()) if any(section.figure for section in sections) else ""  # noqa: S704 - no user text
    return template.render(
        study=study, sections=sections, headline=headline(study), plotly=plotly, written=now()
    )


def headline(study: Study) -> dict[str, tuple[str, str]]:
    """Return the few numbers that a reader looks for first: name -> (value, explanation)."""
    facts, best = study.status, study.status["best"]
    shown: dict[str, tuple[str, str]] = {}
    if confirmed := study.confirmation:
        mean, over = (
            confirmed.winner.estimate.mean,
            plural(confirmed.winner.estimate.num, confirmed.over),
        )
        shown[study.metric] = (f"{mean:.4f}", f"trial {confirmed.winner.trial}, mean over {over}")
    elif best:
        shown[study.metric] = (
            f"{best['value']:.4f}",
            f"trial {best['number']}, best of the search, not confirmed",
        )
    figures = study.stored.baseline_figures
    for name, why in study.stored.baselines_left_out.items():
        shown[name] = ("none", f"not measured: {why}")
    if REFERENCE in figures:
        verdict = confirmed.verdict if confirmed else study.stored.verdict(study.stored.trials)
        is_low = verdict is not None and not verdict.is_above
        low = (
            "below it on average"
            if is_low and verdict and verdict.difference < 0
            else "not above it"
        )
        beside = f"untuned; the winner is {low}" if is_low else "what it reaches untuned"
        shown[REFERENCE] = (f"{figures[REFERENCE]:.4f}", beside)
    if figures:
        popular = max(figure for name, figure in figures.items() if is_popularity(name))
        reached = (
            confirmed.winner.estimate.mean if confirmed else best["value"] if best else popular
        )
        beside = (
            "untuned; the winner is BELOW it"
            if reached < popular
            else "what it reaches, the better of two counts"
        )
        shown["popularity"] = (f"{popular:.4f}", beside)
    shown["scored trials"] = (
        f"{facts['scored']} of {facts['budget']}",
        f"{study.num_completed} completed",
    )
    shown["test rows opened"] = _openings(study)
    return shown


def _openings(study: Study) -> tuple[str, str]:
    try:
        count = len(study.stored.ledger.entries())
    except DataError:
        return "unknown", "the ledger is broken"
    return (
        (plural(count, "time"), "see the ledger") if count else ("never", "the ledger has no line")
    )


def _inert(value: Any) -> Any:
    """Return user text without characters that could reverse its direction; our own markup is returned as it is."""
    return (
        printable_lines(value)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def _cells(table: Table) -> list[list[Markup]]:
    """Return a table's rows as HTML, in which all user text is escaped."""
    return [[Markup(text) for text in row] for row in texts(table, HTML)]  # noqa: S704


def _figure_json(figure: Any) -> Markup:
    """Return a figure as JSON that is safe inside a script element."""
    return Markup(figure.to_json().replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704

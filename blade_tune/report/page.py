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
from blade_tune.report import choice, data, search, tables
from blade_tune.report.section import Section, Study, plural
from blade_tune.report.text_tables import HTML, Table, latex, markdown, texts
from blade_tune.storage.folder import write_text
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, is_popularity
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
    search.best_so_far,
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
    has_figures = any(section.figure for section in sections)
    plotly = Markup(get_plotlyjs()) if has_figures else ""  # noqa: S704 - no user text
    return template.render(
        study=study, sections=sections, headline=headline(study), plotly=plotly, written=now()
    )


def headline(study: Study) -> dict[str, tuple[str, str]]:
    """Return the few numbers that a reader looks for first: name -> (value, explanation)."""
    facts, best, confirmation = study.status, study.status["best"], study.confirmation
    headline: dict[str, tuple[str, str]] = {}

    # What the model reaches
    if confirmation:
        winner = confirmation.winner
        over = plural(winner.estimate.num, confirmation.over)
        explanation = f"trial {winner.trial}, mean over {over}"
        headline[study.metric] = (f"{winner.estimate.mean:.4f}", explanation)
    elif best:
        explanation = f"trial {best['number']}, best of the search, not confirmed"
        headline[study.metric] = (f"{best['value']:.4f}", explanation)

    # What untuned baselines reach
    figures = study.stored.baseline_figures
    for name, why in study.stored.baselines_left_out.items():
        headline[name] = ("none", f"not measured: {why}")
    if REFERENCE in figures:
        verdict = (
            confirmation.verdict if confirmation else study.stored.verdict(study.stored.trials)
        )
        headline[REFERENCE] = (f"{figures[REFERENCE]:.4f}", _against_reference(verdict))
    if figures:
        popular = max(figure for name, figure in figures.items() if is_popularity(name))
        explanation = "what it reaches, the better of two counts"
        if _is_below(study, popular):
            explanation = "untuned; the winner is BELOW it"
        headline["popularity"] = (f"{popular:.4f}", explanation)

    # What was spent
    headline["scored trials"] = (tables.scored_words(facts), f"{study.num_completed} completed")
    if limit := facts["limit"]:
        headline["budget"] = (limit["words"], "spent by all trials")
    headline["test rows opened"] = _openings(study)
    return headline


def _against_reference(verdict: Verdict | None) -> str:
    """Return in words how the winner compares with the untuned reference baseline."""
    if verdict is None or verdict.is_above:
        return "what it reaches untuned"
    fact = "below it on average" if verdict.difference < 0 else "not above it"
    return f"untuned; the winner is {fact}"


def _is_below(study: Study, figure: float) -> bool:
    """Return whether the winner, or the best trial if none is confirmed, has a lower value than a baseline's figure."""
    best = study.status["best"]
    if study.confirmation:
        return study.confirmation.winner.estimate.mean < figure
    return bool(best and best["value"] < figure)


def _openings(study: Study) -> tuple[str, str]:
    try:
        count = len(study.stored.ledger.openings())
    except DataError:
        return "unknown", "the ledger is broken"
    if count == 0:
        return "never", "the ledger has no line"
    return plural(count, "time"), "see the ledger"


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

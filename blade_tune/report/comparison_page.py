"""Report of a comparison: what stands on its page, in which order, and the numbers at its head."""

from collections.abc import Callable, Iterator
from pathlib import Path

from blade_tune.report import comparison_figures, talk_figures, theme
from blade_tune.report import comparison_search_sections as searches
from blade_tune.report import comparison_sections as results
from blade_tune.report.comparison_sections import Compared
from blade_tune.report.document import Document, write_document
from blade_tune.report.section import Section, last_end
from blade_tune.selection.protocol import openings, protocol_line
from blade_tune.selection.stored_comparison import StoredComparison

PARTS: tuple[Callable[[Compared], Iterator[Section]], ...] = (
    results.automatic,
    results.results,
    searches.cost,
    searches.searches,
    searches.learning_curves,
    results.groups,
    searches.moves,
    searches.tried_first,
    searches.configurations,
    searches.made,
)


def write_comparison_report(stored: StoredComparison, out: Path) -> list[Path]:
    """Write report.html, tables.md and tables.tex to a folder, and return their paths.

    What is written depends on what is stored alone, so the same comparison has the same files.

    Raises:
        RunsMissingError: files of a winner's runs are not in the results folder.
        DataError: the data or a ledger is not what it was.
    """
    compared = Compared(stored)
    definition = stored.found[0].definition
    metric = theme.valid(definition.objective.metric)
    document = Document(
        name=str(stored.name),
        lead=f"{len(stored.models)} models on data {definition.data.name}, each chosen by {metric}.",
        protocol=_protocol(compared),
        headline=headline(compared),
        sections=[section for part in PARTS for section in part(compared)],
        written=f"Made of what the searches have stored, {last_end(stored.searches)}.",
        talk=talk_figures.of_comparison(compared.parts[-1]) if compared.parts else None,
    )
    return write_document(document, out)


def headline(compared: Compared) -> dict[str, tuple[str, str]]:
    """Return the few numbers that a reader looks for first: name -> (value, explanation)."""
    stored = compared.stored
    headline: dict[str, tuple[str, str]] = {}
    for found in compared.parts:
        best = comparison_figures.by_expected(found)[0]
        reached = comparison_figures.expected_of(best, found.metric)
        name = f"{found.part} {found.metric.upper()}"
        ends = f"{reached.low:.4f} to {reached.high:.4f}"
        headline[name] = (f"{reached.mean:.4f}", f"{best.label}, the best, {ends}")
    if compared.valid:
        for name, figures in compared.valid.entries[0].baselines.items():
            if compared.valid.metric in figures:
                reached_untuned = figures[compared.valid.metric]
                headline[name] = (f"{reached_untuned:.4f}", "what it reaches untuned")
    done, total = len(stored.confirmations), len(stored.models)
    headline["models"] = (f"{done} of {total}", "have a confirmed winner")
    hours = sum(each.points[-1].hours for each in compared.courses.values() if each.points)
    headline["hours of search"] = (f"{hours:.3g}", "of all models together")
    opened = openings(stored.searches).removeprefix("opened ").removesuffix(" opened")
    headline["test rows opened"] = (opened, "by the ledgers of the searches")
    return headline


def _protocol(compared: Compared) -> str:
    """Return the line that says how the figures were made; before there are any, without losses and seeds."""
    if compared.valid:
        return compared.valid.protocol
    return protocol_line(compared.stored.searches, [], 0)

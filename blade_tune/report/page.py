"""Report of a study: what stands on its page, in which order, and the numbers at its head."""

from collections.abc import Callable, Iterator
from pathlib import Path

from blade_tune.errors import DataError
from blade_tune.report import choice, data, exported, search, tables, talk_figures
from blade_tune.report.document import Document, write_document
from blade_tune.report.section import Section, Study, interval, last_end, plural
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, is_popularity
from blade_tune.training.baselines import REFERENCE

PARTS: tuple[Callable[[Study], Iterator[Section]], ...] = (
    choice.winner,
    exported.test_rows,
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


def write_report(stored: StoredStudy, out: Path) -> list[Path]:
    """Write report.html, tables.md and tables.tex to a folder, and return their paths.

    What is written depends on what is stored alone, so the same study has the same files.
    """
    study = Study(stored)
    definition = stored.definition
    document = Document(
        name=study.name,
        lead=f"Model {definition.model} on data {definition.data.name}, chosen by {study.metric}.",
        protocol=study.protocol,
        headline=headline(study),
        sections=[section for part in PARTS for section in part(study)],
        written=f"Made of what the study has stored, {last_end([stored])}.",
        talk=talk_figures.of_study(study),
    )
    return write_document(document, out)


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

    if found := study.exported:
        low, high = found.interval
        where = f"trial {found.trial}, exported"
        ends = f", {interval(low, high)}" if low is not None else ""
        headline[f"test {study.metric.removeprefix('valid ')}"] = (
            f"{found.figure:.4f}",
            where + ends,
        )

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

"""Content that optuna-dashboard shows of a study in addition to its trials: notes, a leaderboard, and figures."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from optuna_dashboard import save_plotly_graph_object

from blade_tune.errors import NothingToExportError
from blade_tune.printable import printable
from blade_tune.report import Row, curve_figures, figures
from blade_tune.report.data import findings
from blade_tune.report.notes import Noted, put_note
from blade_tune.report.section import plural, shown
from blade_tune.report.tables import scored_words, status
from blade_tune.report.trial_notes import trial_notes
from blade_tune.search.replicates import History, configuration
from blade_tune.selection.confirm import leaders, load_confirmation
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from blade_tune.trial.artifacts import keep_study_file
from blade_tune.trial.curves import as_csv

log = logging.getLogger(__name__)

# Figures by heading, which becomes the id under which a new figure replaces an older one
FIGURES: dict[str, Callable[[StoredStudy], Any]] = {
    "Learning curves": curve_figures.over_epochs,
    "Expected best": figures.expected_best,
    "Cost": figures.cost,
}
FIGURE_HEIGHT = 450  # pixels, the height of the dashboard's own figures
# Size of a figure's JSON, which the dashboard stores in the database and sends with every refresh
MAX_FIGURE_BYTES = 100_000
TOP = 20  # configurations on the leaderboard


def publish(stored: StoredStudy) -> None:
    """Update the notes, the leaderboard and the figures that the dashboard shows of a study.

    An error is logged as a warning only, for all of this is shown elsewhere too.
    """
    for part in (_publish_note, _publish_trial_notes, _publish_leaderboard, _publish_figures):
        try:
            part(stored)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            log.warning(
                "study=%s the dashboard may show an older state of it: %s",
                stored.definition.name,
                reason,
            )


def _publish_note(stored: StoredStudy) -> None:
    put_note(stored.study, note(stored))


def _publish_trial_notes(stored: StoredStudy) -> None:
    trials = stored.trials
    for number, text in trial_notes(stored).items():
        put_note(Noted.of(stored.study, trials[number]), text)


def note(stored: StoredStudy) -> str:
    """Return a table in GitHub's Markdown of what a study is and what it has found."""
    header, *rows = _facts(stored)
    lines = [header, ("---", "---")]
    for name, value in rows:
        lines.append((name, printable(value).replace("|", "\\|")))
    return "".join(f"| {name} | {value} |\n" for name, value in lines)


def _facts(stored: StoredStudy) -> Iterator[tuple[str, str]]:
    definition, facts = stored.definition, status(stored)
    identity = stored.study.user_attrs["fingerprint"]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    # What the study is
    yield "Study", definition.name
    yield "Model", definition.model
    yield "Data", f"{definition.data.name}, hash {identity['data'][:12]}"
    yield "Metric", f"{definition.objective.metric.upper()} on validation rows"
    if facts["baselines"]:
        figures = [f"{name} {shown(figure)}" for name, figure in facts["baselines"].items()]
        yield "Untuned baselines", ", ".join(figures)
    xray = findings(stored)
    if xray:
        verdicts = [f"{name} {finding.verdict}" for name, finding in xray.items()]
        yield "What matters in the data", ", ".join(verdicts)
    counts = ", ".join(f"{count} {state}" for state, count in facts["trials"].items() if count)
    yield "Trials", f"{scored_words(facts)} scored: {counts or 'none yet'}"
    if limit := facts["limit"]:
        yield "Budget", f"{limit['words']} are spent"
    yield "Search", f"sampler {definition.search.sampler}, pruner {definition.search.pruner.kind}"
    yield "Fingerprint", digest[:12]

    # What it has found
    best, noise = facts["best"], facts["noise"]
    if best:
        verdict = _after_semicolon(stored.verdict(stored.trials))
        yield "Best trial", f"{best['number']}: {best['value']:.4f} on one seed{verdict}"
        if facts["warning"]:
            yield "WARNING", facts["warning"]
    yield "Baseline passed", facts["time_to_baseline"]["words"]
    if noise:
        freedom = f"{noise['degrees_of_freedom']} df"
        yield "Noise", f"{noise['deviation']:.4f}, what another seed changes ({freedom})"
    confirmation = load_confirmation(stored)
    if confirmation:
        yield "Winner", _describe(confirmation) + _after_semicolon(confirmation.verdict)
        if confirmation.warning:
            yield "WARNING", confirmation.warning
    yield "Test openings", str(len(stored.ledger.openings()))


def _describe(confirmation: Confirmation) -> str:
    winner, (low, high) = confirmation.winner, confirmation.winner_interval
    expected = confirmation.expected
    for_others = f"expect {expected} for other users; " if expected else ""
    return (
        f"trial {winner.trial}: {for_others}{winner.estimate.mean:.4f} ({low:.4f} to {high:.4f}) over "
        f"{plural(winner.estimate.num, confirmation.over)} for these users; the best of the confirmed with "
        f"probability {winner.prob_best:.2f}"
    )


def _after_semicolon(verdict: Verdict | None) -> str:
    return f"; {verdict}" if verdict else ""


def _publish_leaderboard(stored: StoredStudy) -> None:
    if rows := leaderboard(stored):
        keep_study_file(stored.study, stored.folder.results, "leaderboard.csv", as_csv(rows))


def leaderboard(stored: StoredStudy) -> list[Row]:
    """Return a row for each of the best configurations, by its best trial, with the result of its confirmation.

    There are at most TOP rows, and none before a trial has completed.
    """
    try:
        trials = leaders(stored, TOP)
    except NothingToExportError:
        return []
    space = stored.definition.space
    num_runs = History(space, stored.trials).num_runs
    confirmation = load_confirmation(stored)
    candidates: dict[int, Candidate] = {}
    if confirmation:
        candidates = {candidate.trial: candidate for candidate in confirmation.candidates}
    rows = []
    for rank, trial in enumerate(trials, start=1):
        record, values = TrialRecord(trial), stored.values(trial)
        rows.append(
            {
                "rank": rank,
                "trial": trial.number,
                "value": trial.value,
                "runs": num_runs[configuration(space, trial.params)],
                **(_confirmed(candidates.get(trial.number)) if candidates else {}),
                "best_epoch": record.get(TrialRecord.best_epoch),
                "num_parameters": record.get(TrialRecord.num_parameters),
                **{name: value for name, value in values.items() if name in space.free},
            }
        )
    return rows


def _confirmed(candidate: Candidate | None) -> Row:
    if candidate is None:
        return dict.fromkeys(("confirmed", "low", "high", "prob_best"))
    estimate = candidate.estimate
    return {
        "confirmed": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "prob_best": candidate.prob_best,
    }


def _publish_figures(stored: StoredStudy) -> None:
    for heading, draw in FIGURES.items():
        figure = draw(stored)
        if figure is None:
            continue

        # The heading becomes part of the title, and the figure as high as the dashboard's own
        lines = [f"<b>{heading}</b>"]
        if figure.layout.title.text:
            lines.append(figure.layout.title.text)
        title = {"text": "<br>".join(lines), "y": 0.95}
        figure.update_layout(title=title, height=FIGURE_HEIGHT, margin_t=60 + 17 * len(lines))
        size = len(figure.to_json())
        if size > MAX_FIGURE_BYTES:
            log.info(
                "study=%s figure=%r bytes=%d is too large for it",
                stored.definition.name,
                heading,
                size,
            )
            continue
        identifier = heading.lower().replace(" ", "-")
        save_plotly_graph_object(stored.study, figure, graph_object_id=identifier)

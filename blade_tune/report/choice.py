"""Sections of a report on the choice: the winner, its rivals, and the effects of single changes to it."""

from collections.abc import Iterator, Sequence

from blade_tune.errors import BladeTuneError
from blade_tune.report import Row
from blade_tune.report.confirmation_tables import expectation_words, made_words
from blade_tune.report.effect_figures import effect_figure
from blade_tune.report.effect_tables import effect_table
from blade_tune.report.section import Section, Study, interval, plural, values
from blade_tune.report.text_tables import Cell, Entry, Table, among_baselines
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.effects import ABLATION, load_effects
from blade_tune.selection.moves import moves_of, moves_words
from blade_tune.selection.protocol import study_protocol
from blade_tune.study.verdict import Verdict


def winner(study: Study) -> Iterator[Section]:
    """Yield the section on the configuration to use, or on why none can be named."""
    if study.confirmation:
        yield _confirmed(study, study.confirmation)
    elif study.status["best"]:
        yield _unconfirmed(study, study.status["best"])
    else:
        yield Section("The winner", ["No trial has completed yet."])


def _unconfirmed(study: Study, best: Row) -> Section:
    """Return the section on the best trial of a search that nothing has confirmed yet."""
    completed, number = study.num_completed, best["number"]
    luck = "One trial is no search."
    if completed > 1:
        luck = f"Trial {number} is the luckiest of {completed} completed trials, so its value is too high on average."
    verdict = study.stored.verdict(study.stored.trials)
    among = f"the best of {plural(completed, 'completed trial')}"
    return Section(
        "The winner",
        [_judged(verdict, among)] if verdict else (),
        warning=f"{_loud(study.status['warning'])}Not confirmed. {luck} Fresh seeds tell:",
        command=f"blade-tune confirm --study {study.name}",
        facts={"trial": str(number), f"{study.metric} in the search": f"{best['value']:.4f}"},
        details=values(best["params"]),
    )


def _confirmed(study: Study, confirmation: Confirmation) -> Section:
    chosen, smallest = confirmation.winner, confirmation.smallest
    low, high = confirmation.winner_interval

    # Sentences on how far the winner can be trusted
    num_candidates = plural(len(confirmation.candidates), "candidate")
    words = expectation_words(confirmation)
    if confirmation.verdict:
        words.append(_judged(confirmation.verdict, f"one of {num_candidates}"))
    words += [f"{doubt[0].upper()}{doubt[1:]}" for doubt in confirmation.doubts]
    words += made_words(confirmation)
    if smallest is not chosen:
        words.append(
            f"Trial {smallest.trial} is smaller or faster ({plural(smallest.num_parameters, 'parameter')}), and its "
            "mean lies within one standard error of the winner's."
        )

    # Its figures
    over = plural(chosen.estimate.num, confirmation.over)
    unit = "a fit" if study.stored.definition.is_fitted else "an epoch"
    facts = {
        "trial": str(chosen.trial),
        f"{study.metric} to expect for other users, 95%": str(confirmation.expected or "unknown"),
        f"{study.metric} of these users, mean over {over}": _mean(chosen),
        "95% interval for these users, corrected for having been chosen": interval(low, high),
        "value in the search": f"{chosen.search_value:.4f} ({_inflation(chosen)})",
        f"probability of being the best of {num_candidates}": f"{chosen.prob_best:.0%}",
        "parameters": f"{chosen.num_parameters:,}",
        f"seconds {unit}": f"{chosen.seconds_per_epoch:.2g}",
        "moved by its inputs": moves_words(
            moves_of(confirmation.runs, chosen.runs), is_fitted=study.stored.definition.is_fitted
        ),
    }

    # Its values of the parameters that were searched
    free = study.stored.definition.space.free
    return Section(
        "The winner",
        words,
        _loud(confirmation.warning).strip(),
        facts=facts,
        details=values({name: v for name, v in chosen.values.items() if name in free}),
    )


def candidates(study: Study) -> Iterator[Section]:
    """Yield the section on all configurations that were trained on fresh seeds."""
    confirmation = study.confirmation
    if confirmation is None:
        return
    columns = (
        "trial",
        "search",
        f"confirmed {study.metric}",
        "95% interval",
        "probability best",
        "inflation",
    )

    # A row a candidate, and between them those of untuned baselines
    rows: list[tuple[str, Sequence[Entry]]] = []
    for candidate in confirmation.candidates:
        estimate = candidate.estimate
        mark = "†" if candidate is confirmation.winner else ""
        entries = (
            f"{candidate.search_value:.4f}",
            Cell(estimate.mean, estimate.sd, mark),
            interval(estimate.low, estimate.high),
            f"{candidate.prob_best:.0%}",
            f"{candidate.inflation:+.4f}",
        )
        rows.append((str(candidate.trial), entries))
    over = plural(confirmation.winner.estimate.num, confirmation.over)
    among = f"one of {plural(len(rows), 'candidate')}"
    figures = [candidate.estimate.mean for candidate in confirmation.candidates]
    rows = among_baselines(
        rows, figures, confirmation.baselines, lambda reached: ("", Cell(reached), "", "", "")
    )

    notes: tuple[str, ...] = (
        "† Chosen for having the highest mean: corrected for that, for these users, "
        f"{interval(*confirmation.winner_interval)}.",
        "Inflation is the search's value minus the confirmed mean.",
    )
    if confirmation.verdict:
        notes += (f"† {_judged(confirmation.verdict, among)}",)
    if confirmation.expected:
        notes += (f"† To expect for other users and seeds: {confirmation.expected}.",)
    caption = f"Candidates of {study.name}: mean ± sd over {over}, the same for all."
    yield Section("Candidates", table=Table(columns, rows, caption, (*notes, study.protocol)))


def effects(study: Study) -> Iterator[Section]:
    """Yield a section for each ablation or sweep whose runs are complete, if their files and the data are here."""
    try:
        for loaded in load_effects(study.stored):
            is_ablation = loaded.title.startswith(ABLATION)
            title = loaded.title.capitalize() if is_ablation else f"Sweep of {loaded.title}"
            figure = effect_figure(loaded)
            yield Section(
                title,
                figure=figure,
                table=effect_table(loaded, study_protocol(study.stored, loaded.num_seeds)),
            )
    except BladeTuneError as error:
        yield Section("Ablations and sweeps", warning=str(error))


def _loud(warning: str | None) -> str:
    """Return a warning as a sentence to begin with; empty if there is no warning."""
    return f"{warning[0].upper()}{warning[1:]} " if warning else ""


def _judged(verdict: Verdict, among: str) -> str:
    return f"It is {verdict}, the figure minus that of the untuned baseline for the same users, 95%, as {among}."


def _mean(candidate: Candidate) -> str:
    estimate = candidate.estimate
    return f"{estimate.mean:.4f}" + ("" if estimate.sd is None else f" ± {estimate.sd:.4f}")


def _inflation(candidate: Candidate) -> str:
    amount = f"{abs(candidate.inflation):.4f}"
    if float(amount) == 0:
        return "as confirmed"
    return f"too {'high' if candidate.inflation > 0 else 'low'} by {amount}"

"""Sections of a report on the choice: the winner, its rivals, and the effects of single changes to it."""

from collections.abc import Iterator, Sequence

from blade_tune.errors import BladeTuneError
from blade_tune.report import parameter_figures
from blade_tune.report.section import Section, Study, interval, plural, values
from blade_tune.report.selection_tables import effect_table
from blade_tune.report.text_tables import Cell, Entry, Table, among_baselines
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.selection.effects import load_effects
from blade_tune.study.verdict import Verdict


def winner(study: Study) -> Iterator[Section]:
    """Yield the section on the configuration to use, or on why none can be named."""
    if study.confirmation:
        yield _confirmed(study, study.confirmation)
    elif best := study.status["best"]:
        done, number = study.num_completed, best["number"]
        luck = f"Trial {number} is the luckiest of {done} completed trials, so its value is too high on average."
        verdict, loud = study.stored.verdict(study.stored.trials), _loud(study.status["warning"])
        yield Section(
            "The winner",
            [_judged(verdict, f"the best of {plural(done, 'completed trial')}")] if verdict else (),
            warning=f"{loud}Not confirmed. {luck if done > 1 else 'One trial is no search.'} Fresh seeds tell:",
            command=f"blade-tune confirm --study {study.name}",
            facts={"trial": str(number), f"{study.metric} in the search": f"{best['value']:.4f}"},
            details=values(best["params"]),
        )
    else:
        yield Section("The winner", ["No trial has completed yet."])


def _confirmed(study: Study, confirmation: Confirmation) -> Section:
    chosen, smallest = confirmation.winner, confirmation.smallest
    low, high = confirmation.winner_interval
    words = []
    if verdict := confirmation.verdict:
        words.append(
            _judged(verdict, f"one of {plural(len(confirmation.candidates), 'candidate')}")
        )
    if smallest is not chosen:
        words.append(
            f"Trial {smallest.trial} is smaller or faster ({plural(smallest.num_parameters, 'parameter')}), and its "
            "mean lies within one standard error of the winner's."
        )
    count = len(confirmation.candidates)
    facts = {
        "trial": str(chosen.trial),
        f"{study.metric}, mean over {plural(chosen.estimate.num, confirmation.over)}": _mean(
            chosen
        ),
        "95% interval, corrected for having been chosen": interval(low, high),
        "value in the search": f"{chosen.search_value:.4f} ({_inflation(chosen)})",
        f"probability of being the best of {plural(count, 'candidate')}": f"{chosen.prob_best:.0%}",
        "parameters": f"{chosen.num_parameters:,}",
        f"seconds {'a fit' if study.stored.definition.is_fitted else 'an epoch'}": f"{chosen.seconds_per_epoch:.2g}",
    }
    free = study.stored.definition.space.free
    return Section(
        "The winner",
        words,
        _loud(confirmation.warning).strip(),
        facts=facts,
        details=values({n: v for n, v in chosen.values.items() if n in free}),
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
    rows: list[tuple[str, Sequence[Entry]]] = [
        (
            str(candidate.trial),
            (
                f"{candidate.search_value:.4f}",
                Cell(
                    candidate.estimate.mean,
                    candidate.estimate.sd,
                    "†" if candidate is confirmation.winner else "",
                ),
                interval(candidate.estimate.low, candidate.estimate.high),
                f"{candidate.prob_best:.0%}",
                f"{candidate.inflation:+.4f}",
            ),
        )
        for candidate in confirmation.candidates
    ]
    over = plural(confirmation.winner.estimate.num, confirmation.over)
    among = f"one of {plural(len(rows), 'candidate')}"
    figures = [candidate.estimate.mean for candidate in confirmation.candidates]
    rows = among_baselines(
        rows, figures, confirmation.baselines, lambda reached: ("", Cell(reached), "", "", "")
    )
    notes = (
        f"† Chosen for having the highest mean: corrected for that, {interval(*confirmation.winner_interval)}.",
        "Inflation is the search's value minus the confirmed mean.",
        *([f"† {_judged(confirmation.verdict, among)}"] if confirmation.verdict else []),
    )
    caption = f"Candidates of {study.name}: mean ± sd over {over}, the same for all."
    yield Section("Candidates", table=Table(columns, rows, caption, notes))


def effects(study: Study) -> Iterator[Section]:
    """Yield a section for each ablation or sweep whose runs are complete, if their files and the data are here."""
    try:
        for found in load_effects(study.stored):
            title = "Ablation" if found.title == "ablation" else f"Sweep of {found.title}"
            yield Section(title, figure=parameter_figures.effects(found), table=effect_table(found))
    except BladeTuneError as error:
        yield Section("Ablations and sweeps", warning=str(error))


def _loud(warning: str | None) -> str:
    """Return a warning as a sentence to begin with; empty if there is no warning."""
    return f"{warning[0].upper()}{warning[1:]} " if warning else ""


def _judged(verdict: Verdict, among: str) -> str:
    return f"It is {verdict}, its mean minus that of the untuned baseline for the same users, 95%, as {among}."


def _mean(candidate: Candidate) -> str:
    estimate = candidate.estimate
    return f"{estimate.mean:.4f}" + ("" if estimate.sd is None else f" ± {estimate.sd:.4f}")


def _inflation(candidate: Candidate) -> str:
    amount = f"{abs(candidate.inflation):.4f}"
    return (
        "as confirmed"
        if float(amount) == 0
        else f"too {'high' if candidate.inflation > 0 else 'low'} by {amount}"
    )

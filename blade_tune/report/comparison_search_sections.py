"""Sections of a comparison's page on how its models came about: cost, searches, learning curves, configurations."""

from collections.abc import Iterator, Sequence

from blade_tune.report import comparison_figures, panel_figures
from blade_tune.report.comparison_sections import Compared
from blade_tune.report.configurations import configuration_table, enqueue_text
from blade_tune.report.section import Section, plural
from blade_tune.report.text_tables import Entry, Table
from blade_tune.selection.compare import spent
from blade_tune.selection.moves import CHANGES
from blade_tune.selection.saturation import Course
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import is_scored, logical_trials, state_words
from blade_tune.study.progress import why_done
from blade_tune.study.stored import StoredStudy
from blade_tune.study.warm_start import is_warm


def cost(compared: Compared) -> Iterator[Section]:
    """Yield the section on what each search has cost, and what its winner reaches for it."""
    rows: list[tuple[str, Sequence[Entry]]] = []
    for stored in compared.stored.searches:
        rows.append((stored.label, _cost_entries(stored, compared.courses[stored.label])))
    columns = (
        *("model", "scored trials", "epochs", "steps", "hours", "CPU hours"),
        *("best at half", "best", "ended"),
    )
    table = Table(columns, rows, "What each search has spent, and the best of its own values.")
    words = [
        "Hours of the search only: the runs on fresh seeds are not among them. In brackets the scored trials, of which "
        "a fitted model has many in little time."
    ]
    figure = comparison_figures.cost_and_quality(compared.valid) if compared.valid else None
    yield Section("Cost and quality", words, figure=figure, is_wide=True, table=table)


def _cost_entries(stored: StoredStudy, course: Course) -> list[Entry]:
    """Return a search's cells of the table of costs."""
    cost, best = spent(stored), course.points[-1].best if course.points else None
    half = course.best_at_half
    epochs = "" if stored.definition.is_fitted else f"{cost['epochs']:,.0f}"
    steps = f"{cost['steps']:,.0f}" if cost.get("steps") else ""
    return [
        f"{cost['trials']:g}",
        epochs,
        steps,
        f"{cost['hours']:.2f}",
        f"{cost['cpu_hours']:.2f}" if "cpu_hours" in cost else "",
        "" if half is None else f"{half:.4f}",
        "" if best is None else f"{best:.4f}",
        f"when {why}"
        if (why := why_done(stored))
        else f"not yet: {stored.progress_words(stored.trials)}",
    ]


def searches(compared: Compared) -> Iterator[Section]:
    """Yield the section on whether the searches saturate."""
    metric = compared.stored.found[0].definition.objective.metric
    figure = panel_figures.searches(compared.courses, metric, _baselines(compared))
    if figure is None:
        return
    groups: dict[str, list[str]] = {"less": [], "more": [], "unknown": []}
    for model, course in compared.courses.items():
        added = course.second_half_added
        if added is None:
            groups["unknown"].append(model)
        elif added == 0 or (course.noise is not None and added < course.noise):
            groups["less"].append(model)
        else:
            groups["more"].append(model)
    words = ["The best value so far over the share of what was spent, all other models in gray."]
    for group, sentence in (
        ("less", "The second half of the budget added nothing, or less than another seed changes"),
        ("more", "It still added something, so more might add more"),
        ("unknown", "Too little was scored to tell"),
    ):
        if groups[group]:
            words.append(f"{sentence}: {', '.join(groups[group])}.")
    yield Section("Best so far", words, figure=figure)


def _baselines(compared: Compared) -> dict[str, dict[str, float]]:
    """Return the figures of untuned baselines by model, for the models differ in their windows."""
    return {stored.label: stored.baseline_figures for stored in compared.stored.searches}


def learning_curves(compared: Compared) -> Iterator[Section]:
    """Yield sections on the learning curves of each neural winner's runs, over epochs and over seconds."""
    neural = [
        stored
        for stored in compared.stored.searches
        if not stored.definition.is_fitted and stored.label in compared.stored.confirmations
    ]
    confirmations = compared.stored.confirmations
    curves = [panel_figures.curve_of(each.label, confirmations[each.label]) for each in neural]
    if not curves:
        return
    metric = neural[0].definition.objective.metric
    words = [
        "Runs of each winner on fresh seeds (thin), their mean and the range between them as far as all were trained, "
        "and the other models' means in gray.",
        _rising(compared),
    ]
    baselines = _baselines(compared)
    if figure := panel_figures.over_epochs(curves, metric, baselines):
        yield Section("Learning curves", words, figure=figure)
    if figure := panel_figures.over_seconds(curves, metric, baselines):
        over = "The same over seconds of training, on the machines that trained them, an axis of magnitudes."
        yield Section("Learning curves over time", [over], figure=figure)


def _rising(compared: Compared) -> str:
    """Return a sentence on the winners whose runs still rose at their last epoch."""
    entries = compared.valid.entries if compared.valid else ()
    rising = [
        f"{entry.label} ({entry.num_rising} of {plural(len(entry.scores.ranks_SU), 'run')}, "
        f"{entry.study.definition.train.max_epochs} epochs at most)"
        for entry in entries
        if entry.num_rising
    ]
    if not rising:
        return "No winner was best at its last epoch."
    return f"Best at their last epoch, so that more might have raised them: {', '.join(rising)}."


def moves(compared: Compared) -> Iterator[Section]:
    """Yield the section on what moves the winners' states."""
    if compared.valid is None:
        return
    rows: list[tuple[str, Sequence[Entry]]] = []
    for entry in comparison_figures.by_expected(compared.valid):
        cells = [f"{entry.moves[name]:.2g}" if name in entry.moves else "" for name in CHANGES]
        rows.append((entry.label, cells))
    words = [
        "How far each change of what a winner reads moves its states, or the scores of a model that is fitted, "
        "relative to their size. What moves nothing is not used."
    ]
    table = Table(("model", *CHANGES.values()), rows, "Moves of the winners, mean over runs.")
    yield Section("What moves them", words, table=table)


def tried_first(compared: Compared) -> Iterator[Section]:
    """Yield the section on the configurations that each search was given to try first."""
    rows: list[tuple[str, Sequence[Entry]]] = []
    for stored in compared.stored.searches:
        confirmation = compared.stored.confirmations.get(stored.label)
        winner = confirmation.winner.trial if confirmation else None
        tags = [entry.tag for entry in stored.definition.enqueue]
        for trial in logical_trials(stored.trials):
            tag = TrialRecord(trial).get(TrialRecord.tag)
            if tag not in tags and not is_warm(trial):
                continue
            best = f"{trial.value:.4f}" if is_scored(trial) and trial.value is not None else ""
            source = str(TrialRecord(trial).get(TrialRecord.metadata, {}).get("source", ""))
            is_winner = "the winner" if trial.number == winner else ""
            cells = [tag, str(trial.number), state_words(trial), best, is_winner, source]
            rows.append((stored.label, cells))
    if not rows:
        return
    columns = ("model", "tag", "trial", "state", "best value", "", "source")
    words = [
        "Defaults, published settings and warm starts come before anything that the sampler proposes."
    ]
    table = Table(columns, rows, "Configurations that were tried first.")
    yield Section("Tried first", words, table=table)


def configurations(compared: Compared) -> Iterator[Section]:
    """Yield the section with the winners' configurations, as a table and as entries of study files."""
    confirmations = compared.stored.confirmations
    if not confirmations:
        return
    values = {model: found.winner.values for model, found in confirmations.items()}
    codes = {
        f"enqueue: of {stored.label}": enqueue_text(stored, confirmations[stored.label])
        for stored in compared.stored.searches
        if stored.label in confirmations
    }
    words = [
        "Each text below is the section enqueue of a study file: a study of that model on the same data tries the "
        "winner first, as it is. The length of training is the study's."
    ]
    yield Section("Configurations", words, table=configuration_table(values), codes=codes)


def made(compared: Compared) -> Iterator[Section]:
    """Yield the section on the protocol, and on the command that made the comparison."""
    words = [found.protocol for found in compared.parts[:1]]
    if others := compared.stored.others:
        words.append(
            f"Searched under the same name, and not among the contrasts that were named last: {', '.join(others)}."
        )
    words.append(
        "The command below makes it again, or goes on with it; it is put together from what the searches store."
    )
    sets = dict.fromkeys(told.target_set for found in compared.parts for told in found.told)
    command = compared.stored.command
    command += f" --told {','.join(sets)}" if sets else ""
    command += " --test" if compared.test else ""
    yield Section("How it was made", words, codes={"command": command})

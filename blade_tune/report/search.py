"""Sections of a report on the search: how it went, what mattered, what it cost, and what can be checked."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from blade_tune.config import flatten
from blade_tune.errors import DataError
from blade_tune.report import Row, curve_figures, figures, numbers, parameter_figures, tables
from blade_tune.report.section import Section, Study, plural, value_text
from blade_tune.report.text_tables import Entry, Table, among_baselines
from blade_tune.selection.saturation import QUARTERS, course
from blade_tune.storage.spending import words_of
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.warm_start import is_warm, origin_words

TOP = 20  # trials in the table
KINDS_NOTE = (
    "Repeated: a configuration on another seed. Fresh seeds: runs that confirm, ablate or sweep."
)
SECONDS = "Each curve over the seconds that its own trial spent on epochs, on the machine that trained it."


def history(study: Study) -> Iterator[Section]:
    """Yield the section on the values of trials, with the noise and baselines to judge them by, once there are any."""
    figure = figures.history(study.stored)
    if figure is None:
        return
    noise = study.status["noise"]
    if noise:
        freedom = plural(noise["degrees_of_freedom"], "degree") + " of freedom"
        spread = f"Another seed alone moves a value by {noise['deviation']:.4f} (sd, {freedom})."
    else:
        spread = "No configuration was run on two seeds, so it is not known how far a seed alone moves a value."
    passing = f"Time to baseline: {study.status['time_to_baseline']['words']}."
    yield Section("History", [spread, passing], figure=figure)


def learning_curves(study: Study) -> Iterator[Section]:
    """Yield sections on learning curves over epochs and over seconds, as far as there are any."""
    if figure := curve_figures.over_epochs(study.stored):
        yield Section("Learning curves", figure=figure)
    if figure := curve_figures.over_seconds(study.stored):
        yield Section("Learning curves over time", [SECONDS], figure=figure)


def importances(study: Study) -> Iterator[Section]:
    """Yield the section on which parameters mattered, where enough trials have completed to tell."""
    shares, count = numbers.importances(study.stored), study.num_completed
    if not shares:
        return
    top = round(0.1 * count)
    # What the figures mean, and how far they can be trusted
    words = [
        f"How much each parameter tells the top tenth of {count} completed trials from all of them (PED-ANOVA). This "
        "says nothing of which values are good, and depends on the ranges that were searched."
    ]
    if top < numbers.STEADY_TOP:
        words.append(
            f"The top tenth is {plural(top, 'trial')} here, so another search may well give another order."
        )
    rows = [(name, (f"{share:.1%}",)) for name, share in shares.items()]
    caption = f"Importances in {study.name}, from {count} completed trials."
    table = Table(("parameter", "importance"), rows, caption)
    figure = parameter_figures.importances(study.stored)
    yield Section("Importances", words, figure=figure, table=table)


def parameters(study: Study) -> Iterator[Section]:
    """Yield sections on values over parameters, one by one and together."""
    if figure := parameter_figures.slices(study.stored):
        words = [
            "A sampler that learns tries good regions more often: where dots are dense it expected much."
        ]
        yield Section("Slices", words, figure=figure)
    if figure := parameter_figures.parallel_coordinates(study.stored):
        words = [
            "A line a completed trial; the higher its value, the more it stands out. Drag along an axis to select."
        ]
        yield Section("Parallel coordinates", words, figure=figure, is_wide=True)


def expected_best(study: Study) -> Iterator[Section]:
    """Yield the section on the best value to expect of any number of trials."""
    if figure := figures.expected_best(study.stored):
        words = [
            "The best value to expect of n trials (Dodge et al. 2019), as if they were independent draws from those "
            "that were run. Trials of a sampler that learns, as TPE does, are not: read it as how quickly luck runs "
            "out, not as a forecast. A pruned trial counts with the best that it reported."
        ]
        yield Section("Expected best", words, figure=figure)


def best_so_far(study: Study) -> Iterator[Section]:
    """Yield the section on whether the budget of a search saturates."""
    if study.stored.definition.is_given:  # runs search nothing
        return
    spent = course(study.stored)
    if not any(point.best is not None for point in spent.points):
        return
    rows: list[tuple[str, Sequence[Entry]]] = []
    for share in QUARTERS:
        point = spent.at(share)
        if point is None or point.best is None:
            continue
        taken = "" if math.isnan(point.steps) else f"{point.steps:,.0f}"
        entries = (str(point.trials), taken, f"{point.hours:.2f}", f"{point.best:.4f}")
        rows.append((f"{share:.0%}", entries))
    columns = ("spent", "scored trials", "steps", "hours", f"best {study.metric}")
    table = Table(
        columns, rows, f"Best value of {study.name} by the share of {words_of(spent.unit)} spent."
    )
    figure = figures.best_so_far(spent, study.metric)
    yield Section("Best so far", [spent.words], figure=figure, table=table)


def cost(study: Study) -> Iterator[Section]:
    """Yield the section on what epochs and hours were spent on, once any were."""
    rows = []
    for row in numbers.costs(study.stored):
        entries = (str(row["trials"]), f"{row['epochs']:,}", f"{row['hours']:.2f}")
        rows.append((row["kind"], entries))
    if not rows:
        return
    gpu_hours = study.status["gpu_hours"]
    words = [f"Workers held GPUs for {gpu_hours:g} hours."] if gpu_hours else []
    columns = ("spent on", "trials", "epochs", "hours")
    table = Table(columns, rows, f"Cost of {study.name}.", [KINDS_NOTE])
    yield Section("Cost", words, figure=figures.cost(study.stored), table=table)


def prune_audit(study: Study) -> Iterator[Section]:
    """Yield the section on what pruning may have lost, where a marked trial was finished."""
    rows = numbers.prune_audit(study.stored)
    summary = numbers.audit_summary(rows)
    if summary is None:
        return
    extra = plural(summary.extra_epochs, "epoch")
    loss = "Pruning them would have left the study's best as it was."
    if summary.ahead:
        loss = f"Pruning would have lost at most {summary.largest_lead:.4f} with one of them."
    words = [
        f"Trials that the pruner had marked and that were finished all the same: {summary.audited}, at a cost of "
        f"{extra} beyond the mark. Of these, {summary.ahead} ended above the best that the study had then (exact 95% "
        f"interval of that share: {summary.low:.0%} to {summary.high:.0%}).",
        loss,
    ]
    columns = (
        "trial",
        "marked at epoch",
        "best until then",
        "final",
        "gain",
        "study's best then",
        "new best",
    )
    body = [(str(row["trial"]), _audit_entries(row)) for row in rows]
    table = Table(columns, body, f"Marked trials of {study.name} that were finished.")
    yield Section("Prune audit", words, table=table)


def _audit_entries(row: Row) -> list[str]:
    best_then = row["best then"]
    return [
        str(row["marked"]),
        f"{row['reached']:.4f}",
        f"{row['final']:.4f}",
        f"{row['gain']:.4f}",
        "" if best_then is None else f"{best_then:.4f}",
        "yes" if row["is best"] else "no",
    ]


def trials(study: Study) -> Iterator[Section]:
    """Yield the section on the best trials, and on the states of all, once there are any."""
    states = [f"{count} {state}" for state, count in study.status["trials"].items() if count]
    failures = [f"{count} {reason}" for reason, count in study.status["failures"].items()]
    if not states:
        return
    words = [", ".join(states) + "."]
    if failures:
        words.append(f"Ended without a score, by reason: {', '.join(failures)}.")
    yield Section("Trials", words, table=_best_trials(study))


def _best_trials(study: Study) -> Table | None:
    """Return the table of the best completed trials and the untuned baselines; None if no trial has completed."""
    completed = [row for row in tables.trial_rows(study.stored) if row["state"] == "complete"]
    if not completed:
        return None
    best = sorted(completed, key=lambda row: -row["value"])[:TOP]
    free = [*study.stored.definition.space.free]
    origins = {
        trial.number: TrialRecord(trial).metadata for trial in study.stored.trials if is_warm(trial)
    }
    rows: list[tuple[str, Sequence[Entry]]] = []
    for row in best:
        texts = [
            "" if row[name] is None else value_text(row[name])
            for name in ("best_epoch", "epochs", *free)
        ]
        origin = origins.get(row["number"])
        label = f"{row['number']} ({row['tag']})" if origin else str(row["number"])
        rows.append((label, [f"{row['value']:.4f}", *texts]))
    notes = [
        f"{row['tag']}: {origin_words(origins[row['number']])}."
        for row in best
        if row["number"] in origins
    ]
    empty = [""] * (2 + len(free))
    rows = among_baselines(
        rows,
        [row["value"] for row in best],
        study.stored.baseline_figures,
        lambda reached: (f"{reached:.4f}", *empty),
    )
    caption = (
        f"The best {len(best)} of {plural(len(completed), 'completed trial')} of {study.name}, "
        f"by {study.metric}."
    )
    columns = ("trial", study.metric, "best epoch", "epochs", *free)
    return Table(columns, rows, caption, notes)


def identity(study: Study) -> Iterator[Section]:
    """Yield the section on what the study is, and on the versions and devices that it was trained with."""
    fingerprint = study.stored.study.user_attrs.get("fingerprint", {})
    digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()
    made_with: Counter[tuple[str, str, str]] = Counter()
    for trial in study.stored.trials:
        record = TrialRecord(trial)
        if TrialRecord.versions in record:
            made_with[record.device, record.versions, record.commit] += 1
    facts = {"fingerprint": digest[:16]}
    for (device, versions, commit), count in made_with.items():
        facts[f"{plural(count, 'trial')} on {device}"] = f"{versions}, commit {commit[:12]}"
    details = {name: json.dumps(value) for name, value in flatten(fingerprint).items()}
    yield Section("Identity", facts=facts, details=details)


def ledger(study: Study) -> Iterator[Section]:
    """Yield the section on all openings of the test rows, if there were any."""
    try:
        entries = study.stored.ledger.entries()
    except DataError as error:
        yield Section("Ledger", warning=str(error))
        return
    if not entries:
        return
    # A column for each name that any entry has, the time first
    columns = ["when"]
    for entry in entries:
        columns += [name for name in entry if name not in columns]
    rows = []
    for entry in entries:
        when, *rest = [str(entry.get(name, "")) for name in columns]
        rows.append((when, rest))
    table = Table(columns, rows, f"Openings of the test rows by {study.name}.")
    count = len(study.stored.ledger.openings())
    words = f"The test rows were opened {plural(count, 'time')}."
    yield Section("Ledger", [words], table=table)

"""Sections of a report on the search: how it went, what mattered, what it cost, and what can be checked."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from blade_tune.config import flatten
from blade_tune.errors import DataError
from blade_tune.report import curve_figures, figures, numbers, parameter_figures, tables
from blade_tune.report.section import Section, Study, plural, values
from blade_tune.report.text_tables import Entry, Table, among_baselines
from blade_tune.storage.trial_record import TrialRecord

TOP = 20  # trials in the table
NOTHING_YET = "No trial has been scored yet."
SECONDS = "Each curve over the seconds that its own trial spent on epochs, on the machine that trained it."


def history(study: Study) -> Iterator[Section]:
    """Yield the section on the values of trials, with the noise and baselines to judge them by."""
    noise = study.status["noise"]
    said = "No configuration was run on two seeds, so it is not known how far a seed alone moves a value."
    if noise:
        freedom = plural(noise["degrees_of_freedom"], "degree") + " of freedom"
        said = f"Another seed alone moves a value by {noise['deviation']:.4f} (sd, {freedom})."
    figure = figures.history(study.stored)
    passing = f"Time to baseline: {study.status['time_to_baseline']['words']}."
    yield Section("History", [said if figure else NOTHING_YET, passing], figure=figure)


def learning_curves(study: Study) -> Iterator[Section]:
    """Yield sections on learning curves over epochs and over seconds, if the model trains in epochs."""
    if study.stored.definition.is_fitted:
        return
    figure = curve_figures.over_epochs(study.stored)
    yield Section("Learning curves", () if figure else [NOTHING_YET], figure=figure)
    if figure:
        timed = curve_figures.over_seconds(study.stored)
        words = [
            SECONDS
            if timed
            else "Neither the database nor the trials' files here have seconds of these epochs."
        ]
        yield Section("Learning curves over time", words, figure=timed)


def importances(study: Study) -> Iterator[Section]:
    """Yield the section on which parameters mattered."""
    shares, count = numbers.importances(study.stored), study.num_completed
    if not shares:
        few = f"{plural(count, 'trial')} completed: under {numbers.MIN_TRIALS} importances would be guesses."
        yield Section(
            "Importances",
            [few if count < numbers.MIN_TRIALS else "Nothing free that moved the value."],
        )
        return
    top = round(0.1 * count)
    words = [
        f"How much each parameter tells the top tenth of {count} completed trials from all of them (PED-ANOVA). This "
        "says nothing of which values are good, and depends on the ranges that were searched."
    ]
    if top < numbers.STEADY_TOP:
        words.append(
            f"The top tenth is {plural(top, 'trial')} here, so another search may well give another order."
        )
    rows = [(name, (f"{share:.1%}",)) for name, share in shares.items()]
    table = Table(
        ("parameter", "importance"),
        rows,
        f"Importances in {study.name}, from {count} completed trials.",
    )
    yield Section(
        "Importances", words, figure=parameter_figures.importances(study.stored), table=table
    )


def parameters(study: Study) -> Iterator[Section]:
    """Yield sections on values over parameters, one by one and together."""
    if figure := parameter_figures.slices(study.stored):
        words = [
            "A sampler that learns tries good regions more often: where dots are dense it expected much."
        ]
        yield Section("Slices", words, figure=figure, is_wide=True)
    if figure := parameter_figures.parallel_coordinates(study.stored):
        words = [
            "A line a completed trial, darker where its value is higher. Drag along an axis to select."
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


def cost(study: Study) -> Iterator[Section]:
    """Yield the section on what epochs and hours were spent on."""
    spent = numbers.costs(study.stored)
    rows = [
        (row["kind"], (str(row["trials"]), f"{row['epochs']:,}", f"{row['hours']:.2f}"))
        for row in spent
    ]
    words = (
        [f"Workers held GPUs for {study.status['gpu_hours']:g} hours."]
        if study.status["gpu_hours"]
        else []
    )
    notes = (
        "Repeated: a configuration on another seed. Fresh seeds: runs that confirm, ablate or sweep.",
    )
    table = Table(("spent on", "trials", "epochs", "hours"), rows, f"Cost of {study.name}.", notes)
    yield Section(
        "Cost",
        words if rows else ["Nothing was spent yet."],
        figure=figures.cost(study.stored),
        table=table if rows else None,
    )


def prune_audit(study: Study) -> Iterator[Section]:
    """Yield the section on what pruning may have lost."""
    rows = numbers.prune_audit(study.stored)
    summary = numbers.audit_summary(rows)
    if summary is None:
        nothing = (
            "No marked trial was finished"
            if study.status["trials"]["pruned"]
            else "No trial was pruned"
        )
        yield Section("Prune audit", [f"{nothing}, so there is nothing to audit."])
        return
    extra, share = plural(summary.extra_epochs, "epoch"), f"{summary.low:.0%} to {summary.high:.0%}"
    words = [
        f"Trials that the pruner had marked and that were finished all the same: {summary.audited}, at a cost of "
        f"{extra} beyond the mark. Of these, {summary.ahead} ended above the best that the study had then (exact 95% "
        f"interval of that share: {share}).",
        f"Pruning would have lost at most {summary.largest_lead:.4f} with one of them."
        if summary.ahead
        else "Pruning them would have left the study's best as it was.",
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
    body = [
        (
            str(row["trial"]),
            (
                str(row["marked"]),
                *(f"{row[name]:.4f}" for name in ("reached", "final", "gain")),
                "" if row["best then"] is None else f"{row['best then']:.4f}",
                "yes" if row["is best"] else "no",
            ),
        )
        for row in rows
    ]
    yield Section(
        "Prune audit",
        words,
        table=Table(columns, body, f"Marked trials of {study.name} that were finished."),
    )


def trials(study: Study) -> Iterator[Section]:
    """Yield the section on the best trials, and on the states of all."""
    free = [*study.stored.definition.space.free]
    rows = sorted(
        (row for row in tables.trial_rows(study.stored) if row["state"] == "complete"),
        key=lambda row: -row["value"],
    )
    shown: list[tuple[str, Sequence[Entry]]] = [
        (
            str(row["number"]),
            (
                f"{row['value']:.4f}",
                *("" if row[name] is None else str(row[name]) for name in ("best_epoch", "epochs")),
                *(
                    values({name: row[name]})[name] if row[name] is not None else ""
                    for name in free
                ),
            ),
        )
        for row in rows[:TOP]
    ]
    states = [f"{count} {state}" for state, count in study.status["trials"].items() if count]
    why = [f"{count} {reason}" for reason, count in study.status["failures"].items()]
    words = [", ".join(states) + "." if states else "None yet."]
    words += [f"Came to nothing, by reason: {', '.join(why)}."] if why else []
    caption = f"The best {len(shown)} of {plural(len(rows), 'completed trial')} of {study.name}, by {study.metric}."
    figures = [row["value"] for row in rows[:TOP]]
    empty = [""] * (2 + len(free))
    placed = among_baselines(
        shown, figures, study.stored.baseline_figures, lambda reached: (f"{reached:.4f}", *empty)
    )
    table = (
        Table(("trial", study.metric, "best epoch", "epochs", *free), placed, caption)
        if shown
        else None
    )
    yield Section("Trials", words, table=table)


def identity(study: Study) -> Iterator[Section]:
    """Yield the section on what the study is, and on the versions and devices that it was trained with."""
    whole = study.stored.study.user_attrs.get("fingerprint", {})
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    made_with = Counter(
        (record.device, record.versions, record.commit)
        for record in map(TrialRecord, study.stored.trials)
        if TrialRecord.versions in record
    )
    facts = {"fingerprint": digest[:16]}
    for (device, versions, commit), count in made_with.items():
        facts[f"{plural(count, 'trial')} on {device}"] = f"{versions}, commit {commit[:12]}"
    yield Section(
        "Identity", facts=facts, details={n: json.dumps(v) for n, v in flatten(whole).items()}
    )


def ledger(study: Study) -> Iterator[Section]:
    """Yield the section on all openings of the test rows."""
    try:
        entries = study.stored.ledger.entries()
    except DataError as error:
        yield Section("Ledger", warning=str(error))
        return
    if not entries:
        yield Section("Ledger", ["The test rows were never opened."])
        return
    columns = list(dict.fromkeys(name for entry in entries for name in ("when", *entry)))
    rows = [
        (str(entry.get("when", "")), [str(entry.get(name, "")) for name in columns[1:]])
        for entry in entries
    ]
    table = Table(columns, rows, f"Openings of the test rows by {study.name}.")
    yield Section(
        "Ledger", [f"The test rows were opened {plural(len(entries), 'time')}."], table=table
    )

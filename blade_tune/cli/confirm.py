"""Command `blade-tune confirm`, which trains the top configurations again on fresh seeds."""

from dataclasses import asdict
from typing import Any

import click

from blade_tune.cli.executor import executor_of
from blade_tune.cli.groups import STUDIED, InGroups
from blade_tune.cli.next_steps import after_run, say_next
from blade_tune.cli.options import (
    RUNS_FLAGS,
    format_option,
    quiet_option,
    run_settings,
    study_option,
    told_option,
)
from blade_tune.cli.output import print_facts, print_rows, print_tables, print_words
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings

# Columns that go first where there is no room for all
LEAST = (
    *("seconds_per_epoch", "num_parameters", "inflation", "corrected_low", "corrected_high"),
    *("sd", "low", "high"),
)


@click.command(cls=InGroups, own=STUDIED)
@study_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Best configurations to train again.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Fresh seeds that all share.",
)
@click.option(
    "--test",
    is_flag=True,
    help="Open the test rows for the winner's runs; each is a line of the ledger.",
)
@told_option
@run_settings(*RUNS_FLAGS)
@format_option
@quiet_option
def confirm(
    study: str,
    top: int,
    seeds: int,
    test: bool,
    told: str,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Train the top again on fresh seeds and choose by the mean.

    The best of many noisy trials is mostly lucky; its mean over fresh seeds is not, but for the users at hand. What to
    expect for other users is found out of bag: the whole choice is made again on resampled users. Runs are stored as
    study STUDY.runs, each is made once, and the same command goes on where it stopped. The search is left alone, and
    test rows stay sealed without --test.

    \b
    Example:
      blade-tune confirm --study demo --top 3 --seeds 3
    """  # noqa: D301
    from blade_tune.report.confirmation_tables import (
        confirmation_rows,
        confirmation_words,
        winner_test,
    )
    from blade_tune.report.dashboard import publish
    from blade_tune.report.told_tables import told_facts, told_table
    from blade_tune.report.winner_words import confirmed_words
    from blade_tune.selection.confirm import confirm
    from blade_tune.selection.moves import moves_of
    from blade_tune.selection.protocol import study_protocol
    from blade_tune.selection.testing import Opening, test_runs
    from blade_tune.selection.told import target_sets, told_winner

    # Train on fresh seeds, test the winner's runs if the test rows may be opened, and rank as models are told else
    wanted = target_sets(told) if told else ()
    with executor_of(settings, quiet) as executor:
        stored = settings.workspace.study_to_work_on(study)
        confirmation = confirm(stored, top, seeds, executor)
        tested: dict[str, Any] = {}
        others = {}
        if test or wanted:
            command = "confirm --test" if test else "confirm --told"
            opening = Opening(command, usable_device(settings.device), settings.data)
        if test:
            test_runs(stored, confirmation, opening)
            tested = {"test": winner_test(confirmation)}
        if wanted:
            others = told_winner(stored, confirmation, wanted, opening, test=test)
    publish(stored)

    # Show what was found: all of it as JSON, a row a candidate otherwise, and sentences below a table
    rows = confirmation_rows(confirmation)
    if form == "json":
        facts = {
            "metric": confirmation.metric,
            "over": f"{confirmation.over}s",
            "expected": asdict(confirmation.expected) if confirmation.expected else None,
            "candidates": rows,
            "baselines": dict(confirmation.baselines),
            "verdict": confirmation.verdict.facts if confirmation.verdict else None,
            "warning": confirmation.warning or None,
            "doubts": confirmation.doubts,
            "made": list(confirmation.made),
            "words": confirmed_words(confirmation),
            "moves": {
                candidate.trial: moves_of(confirmation.runs, candidate.runs)
                for candidate in confirmation.candidates
            },
            "protocol": study_protocol(stored),
            **tested,
            "told": {part: told_facts(scores) for part, scores in others.items()} or None,
        }
        print_facts(facts, form)
    else:
        print_rows(rows, form, LEAST)
    if form == "table":
        print_words(confirmed_words(confirmation), *confirmation_words(confirmation))
        for name, reason in stored.baselines_left_out.items():
            print_words(f"{name} was not measured untuned: {reason}.")
        if tested:
            print_facts(tested, form)
        for part, scores in others.items():
            print_tables([told_table(confirmation, part, scores)], form)
        print_words(study_protocol(stored))
    say_next(after_run(stored), settings, quiet=quiet)

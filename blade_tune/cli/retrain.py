"""Command `blade-tune retrain`, which trains a bundle's model again on newer rows and compares it with the old one."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from blade_tune.cli.options import format_option, quiet_option, run_settings
from blade_tune.cli.output import print_facts
from blade_tune.cli.steps import watch_steps
from blade_tune.errors import ConfigError, NotBetterError
from blade_tune.export import JudgedOn
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    from blade_tune.export.retraining import Retrained
    from blade_tune.training.epoch_record import EpochRecord


@click.command()
@click.option(
    "--bundle",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="What export-best or retrain wrote.",
)
@click.option(
    "--data",
    "split",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A prepared split with newer rows, such as `data prepare event-log --append` writes.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Or a log of newer rows, which are added to the bundle's log first; several times for several.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the new bundle, which must be new or empty.",
)
@click.option(
    "--if-better",
    is_flag=True,
    help="Write it only where its 95% interval above the old model lies above 0; else exit code 6.",
)
@click.option(
    "--judge-on",
    "judged_on",
    type=click.Choice(get_args(JudgedOn)),
    default="valid",
    show_default=True,
    help="The newest rows that old and new are compared on.",
)
@run_settings("results", "device")
@format_option
@quiet_option
def retrain(
    bundle: Path,
    split: Path | None,
    sources: tuple[Path, ...],
    out: Path,
    if_better: bool,
    judged_on: JudgedOn,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Train a bundle's model again on newer rows.

    Configuration, seed and number of epochs are the bundle's. The old model, the new one and untuned baselines rank the
    same newest rows, user by user. Test rows are opened once at most, with a line in retrained.jsonl beside the new
    bundle. The old bundle is left alone.

    \b
    Example:
      blade-tune retrain --bundle bundles/september --data data/shop.2 --out bundles/october --if-better
    """  # noqa: D301
    from blade_tune.export.checksums import require_bundle

    # Before the imports, so that a mistake is said at once
    if (split is None) == (not sources):
        raise ConfigError("retrain needs the newer rows: one of --data and --source.")
    require_bundle(bundle)

    from blade_tune.cli.progress import epoch_lines
    from blade_tune.export.retraining import RetrainOptions, retrain_bundle

    is_silent = quiet or sys.stderr.isatty()  # on a terminal, steps have a live view
    with watch_steps(quiet) as on_step:
        device = usable_device(settings.device)
        options = RetrainOptions(
            bundle=bundle,
            out=out,
            device=device,
            results=settings.results,
            data=split,
            sources=sources,
            judged_on=judged_on,
            if_better=if_better,
            on_step=on_step,
            on_epoch=_ignore if is_silent else epoch_lines("training"),
        )
        retrained = retrain_bundle(options)
    print_facts({"bundle": _text(retrained.bundle), **retrained.comparison}, form)
    sentences = _sentences(retrained)
    if retrained.bundle is not None:
        sentences.append(_conclusion(retrained))
    for sentence in sentences:
        if not quiet or sentence.startswith("WARNING"):
            click.echo(sentence, err=True)
    if retrained.bundle is None:
        raise NotBetterError(_refusal(retrained, bundle))


def _ignore(_: "EpochRecord") -> None:
    """Show nothing of an epoch."""


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _sentences(retrained: "Retrained") -> list[str]:
    """Return what was compared, and what the old model could not know, for people."""
    facts = retrained.comparison
    sentences = [
        f"{facts['metric']} on {facts['rows']:,} {facts['judged_on']} rows: {_figures(facts)}; untuned "
        + ", ".join(f"{name} {value:.4f}" for name, value in facts["baselines"].items())
    ]
    for name, words in facts["verdicts"].items():
        sentences.append(f"the {'old' if name == 'earlier' else name} model is {words}")
    if retrained.is_same_data:
        sentences.append("WARNING the rows are those that the old model was trained on")
    misses = facts["rows_of_new_items"]
    if misses:
        both = facts["where_both_know_the_item"]
        rest = f"on the other {both['rows']:,}: {_figures(both)}" if both else "no row is left"
        sentences.append(
            f"{misses:,} rows have an item that the old model cannot know, a miss for it; {rest}"
        )
    return sentences


def _figures(facts: Mapping[str, Any]) -> str:
    return f"new {facts['new']:.4f}, old {facts['earlier']:.4f}, {_interval(facts['difference'])}"


def _interval(difference: Mapping[str, float]) -> str:
    return "{difference:+.4f} ({low:+.4f} to {high:+.4f})".format(**difference)


def _conclusion(retrained: "Retrained") -> str:
    """Return how a new model that was written compares with the old one."""
    difference = _interval(retrained.comparison["difference"])
    words = {
        "better": "the new model is better than the old one",
        "worse": "WARNING the new model is worse than the old one",
        "undecided": "WARNING whether the new model is better than the old one cannot be told",
    }
    return f"{words[retrained.outcome]}, {difference}"


def _refusal(retrained: "Retrained", bundle: Path) -> str:
    """Return why a new model was not written."""
    law = "is worse" if retrained.outcome == "worse" else "is not better beyond chance"
    return (
        f"the new model {law}, {_interval(retrained.comparison['difference'])}: no bundle is written, and {bundle} "
        "stays the one to use."
    )

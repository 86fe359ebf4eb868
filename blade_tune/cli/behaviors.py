"""Options on which rows of a log have which behavior."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import click

from blade_tune.cli.options import Command
from blade_tune.data.raw.settings import EVERY_ROW
from blade_tune.errors import ConfigError

RATED, LIKED = "rate", "like"  # the behaviors that --rating stands for

OPTIONS = (
    click.option(
        "--behaviors",
        metavar="LIST",
        help="The behaviors, as their column or the values of --type: view,cart,buy. view=page_view names one anew, "
        "like=4|5 is either of two, and view=* is a behavior of every row.",
    ),
    click.option(
        "--threshold",
        "thresholds",
        multiple=True,
        metavar="COLUMN=NUMBER",
        help="A column of --behaviors or --seen that holds numbers (seconds, plays), and from which on it counts; may "
        "be given several times.",
    ),
    click.option(
        "--rating",
        metavar="COLUMN",
        help=f"Column of ratings, instead of --behaviors: every row is a {RATED}, the auxiliary behavior, and a "
        f"{LIKED} from --like-from on.",
    ),
    click.option("--like-from", metavar="NUMBER", help=f"Least --rating that is a {LIKED}."),
)


def behavior_options(command: Command) -> Command:
    """Add the options that `named_behaviors` reads to a command."""
    # Each decorator puts its option first, so the last one comes first
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def named_behaviors(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `behavior_options` out of a command's options, and return the settings of a LogFormat.

    Raises:
        ConfigError: options exclude each other, or one cannot be read.
        click.MissingParameter: no option names a behavior.
    """
    text, thresholds = options.pop("behaviors"), options.pop("thresholds")
    rating, like_from = options.pop("rating"), options.pop("like_from")
    if rating is not None or like_from is not None:
        others = {
            "--behaviors": text,
            "--threshold": thresholds,
            "--type": options["type"],
            "--seen": options["seen"],
        }
        return _of_rating(rating, like_from, others)
    if text is None:
        raise click.MissingParameter(param_hint="'--behaviors'", param_type="option")
    names, columns = [], []
    for entry in text.split(","):
        name, _, column = map(str.strip, entry.partition("="))
        names.append(name)
        columns.append(column or name)
    return {"behaviors": names, "columns": columns, "thresholds": _thresholds(thresholds)}


def _of_rating(
    rating: str | None, like_from: str | None, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings that --rating and --like-from stand for; no other option may say what they do."""
    if rating is None or like_from is None:
        missing = "--rating COLUMN" if rating is None else "--like-from NUMBER"
        raise ConfigError(f"--rating and --like-from must be given together; add {missing}.")
    for flag, value in others.items():
        if value:
            raise ConfigError(
                f"--rating makes every row a {RATED}, and those from --like-from on a {LIKED}; leave out {flag}, or "
                "leave out --rating and name all --behaviors."
            )
    number = _number(like_from)
    if number is None:
        raise ConfigError(f"--like-from must be a NUMBER, as in 4, got {like_from!r}.")
    return {
        "behaviors": [RATED, LIKED],
        "columns": [EVERY_ROW, rating.replace("|", r"\|")],
        "thresholds": {rating: number},
    }


def _thresholds(given: Iterable[str]) -> dict[str, float]:
    thresholds: dict[str, float] = {}
    for text in given:
        column, _, least = map(str.strip, text.rpartition("="))
        number = _number(least)
        if not column or number is None:
            raise ConfigError(f"--threshold must be COLUMN=NUMBER, as in watch_s=30, got {text!r}.")
        if column in thresholds:
            raise ConfigError(
                f"--threshold must be given once for a column, got {column} twice; leave out one."
            )
        thresholds[column] = number
    return thresholds


def _number(text: str) -> float | None:
    """Return the number that a text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

"""Command `blade-tune power`, which says how large a difference must be to be found."""

import click

from blade_tune.cli.completion import complete_stored
from blade_tune.cli.options import STORAGE_FLAGS, format_option, run_settings
from blade_tune.cli.output import print_facts
from blade_tune.fleet.settings import RunSettings

# The noise of differences between tuned models on QK-Video, NDCG@10
USER_SD, RUN_SD = 0.084, 0.0011


@click.command()
@click.option(
    "--study",
    "-s",
    metavar="NAME",
    shell_complete=complete_stored,
    help="Take noise, users and pairs from its comparisons, or from its confirmed candidates.",
)
@click.option("--users", type=click.IntRange(min=2), help="Evaluated users.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each model."
)
@click.option(
    "--pairs", type=click.IntRange(min=1), help="Tests of the table.  [default: all pairs, or 1]"
)
@click.option(
    "--difference",
    type=click.FloatRange(min=0, min_open=True),
    metavar="D",
    help="Say how often this difference is found, and how many seeds it needs.",
)
@click.option(
    "--user-sd",
    type=click.FloatRange(min=0),
    default=USER_SD,
    show_default="as on QK-Video",
    help="Without --study: deviation of a user's difference.",
)
@click.option(
    "--run-sd",
    type=click.FloatRange(min=0),
    default=RUN_SD,
    show_default="as on QK-Video",
    help="Without --study: deviation of a model's figure from seed to seed.",
)
@run_settings(*STORAGE_FLAGS)
@format_option
def power(
    study: str | None,
    users: int | None,
    seeds: int,
    pairs: int | None,
    difference: float | None,
    user_sd: float,
    run_sd: float,
    settings: RunSettings,
    form: str,
) -> None:
    """Say how large a difference must be to be found.

    The smallest true difference that a comparison finds with a chance of 80%, at 5% corrected over its pairs, from the
    noise of runs that are stored. A smaller one is undecidable with these users and seeds. Nothing is trained or
    changed.

    \b
    Example:
      blade-tune power --users 4850 --seeds 5 --pairs 36 --difference 0.004
    """  # noqa: D301
    from blade_tune.errors import ConfigError
    from blade_tune.selection import power as planning
    from blade_tune.selection.stored_noise import stored_noise

    if study:
        found = stored_noise(settings.workspace.study(study))
        noise, source = found.noise, ", ".join(found.labels)
        users = users or found.users
        pairs = pairs or len(found.labels) * (len(found.labels) - 1) // 2
    elif users is None:
        raise ConfigError("give --study, or --users and the noise of a difference.")
    else:
        noise, source = planning.PairNoise(user_sd**2, 2 * run_sd**2, 0.0), "as given"
    plan = planning.Plan(users, seeds, pairs or 1)
    facts = {
        "noise_of": source,
        "users": plan.users,
        "seeds": plan.seeds,
        "pairs": plan.pairs,
        "chance": planning.ENOUGH,
        "smallest_difference": planning.smallest_difference(noise, plan),
    }
    if difference is not None:
        facts["difference"] = difference
        facts["power"] = planning.power(difference, noise, plan)
        needed = planning.seeds_needed(difference, noise, plan)
        facts["seeds_needed"] = needed or f"more than {planning.MOST_SEEDS}"
    print_facts(facts, form)

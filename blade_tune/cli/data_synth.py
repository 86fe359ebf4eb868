"""Command `blade-tune data synth`, which makes synthetic data with a known law."""

from pathlib import Path
from typing import Any

import click

from blade_tune.cli.options import format_option
from blade_tune.cli.output import print_facts
from blade_tune.errors import ConfigError

CLUSTER_SIZE = 10  # items of a cluster, about


@click.command()
@click.option("--users", required=True, type=click.IntRange(min=1), metavar="N", help="Users.")
@click.option("--items", required=True, type=click.IntRange(min=2), metavar="N", help="Items.")
@click.option(
    "--behaviors",
    default="view,cart,buy",
    metavar="LIST",
    help="From common to rare. Default: view,cart,buy.",
)
@click.option(
    "--noise", type=float, metavar="PROB", help="How often the law does not hold. Default: 0.1."
)
@click.option(
    "--without",
    metavar="LIST",
    help="What the law does without: order, sets, recency. Default: it needs them all.",
)
@click.option("--seed", type=int, metavar="N", help="Seed of all that is drawn. Default: 2026.")
@click.option("--name", default="synth", metavar="NAME", help="Name of the study. Default: synth.")
@click.option(
    "--events",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a log of events (.csv, .jsonl, .parquet) instead of a study.",
)
@format_option
def synth(
    users: int,
    items: int,
    behaviors: str,
    noise: float | None,
    without: str | None,
    seed: int | None,
    name: str,
    events: Path | None,
    form: str,
) -> None:
    """Make up data with a known law.

    The rarest behavior of an interaction decides from which cluster of items the next one comes, so the best NDCG that
    any model can reach is known; it is printed, here and by `data stats`. --without takes things out of the law, for
    `data xray` to find missing. Writes studies/NAME.yaml, which needs no files, or a log to try `data prepare
    event-log` on. A study file that is there already is left alone.

    \b
    Example:
      blade-tune data synth --users 5000 --items 1000 --name school
    """  # noqa: D301
    from blade_tune.data.config import data_config
    from blade_tune.data.sources.base import open_source
    from blade_tune.spec.template import write_study

    names = behaviors.split(",")
    optional = {"noise": noise, "seed": seed, "without": without.split(",") if without else None}
    section: dict[str, Any] = {
        "source": "synthetic",
        "name": name,
        "behaviors": names,
        "auxiliary": names[0],
        "num_users": users,
        "num_items": items,
        "num_clusters": _num_clusters(items, len(names)),
        **{key: value for key, value in optional.items() if value is not None},
    }
    config = data_config(section, "options")
    if events:
        from blade_tune.data.raw.events import write_events

        written = {"events": write_events(config, events), "file": str(events)}
    else:
        path = Path("studies") / f"{name}.yaml"
        if not write_study(path, section, None):
            raise ConfigError(f"{path}: is there already; give another --name.")
        written = {"study": str(path)}
    origin = open_source(config, None).origin()
    print_facts({**written, "best_reachable": origin["best_reachable"]}, form)


def _num_clusters(num_items: int, num_behaviors: int) -> int:
    """Return the number of clusters that divides the items, is above the behaviors, and is nearest to CLUSTER_SIZE."""
    candidates = range(num_behaviors + 1, num_items + 1)
    divisors = [number for number in candidates if num_items % number == 0]
    if not divisors:
        raise ConfigError(
            f"--items must be above the number of behaviors, {num_behaviors}, got {num_items}."
        )
    return min(divisors, key=lambda number: abs(num_items / number - CLUSTER_SIZE))

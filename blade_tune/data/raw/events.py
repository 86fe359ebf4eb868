"""Synthetic data written as a log of events, in the form that a shop's log would have."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from blade_tune.data import folder
from blade_tune.data.config import DataConfig
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.files import literal
from blade_tune.data.sources.synthetic import generate
from blade_tune.data.synthetic_law import SyntheticConfig
from blade_tune.errors import ConfigError

FORMATS = {".csv": "FORMAT csv, HEADER", ".jsonl": "FORMAT json", ".parquet": "FORMAT parquet"}
# The first of January 2026 in UTC; a user interacts once an hour
START_S, STEP_S = 1_767_225_600, 3_600


def write_events(config: DataConfig, path: Path) -> int:
    """Write synthetic interactions as a log in time order, with one event (user_id, item_id, ts, event) per behavior.

    Args:
        config: settings of the data; its source must be `synthetic`.
        path: the file; its suffix (.csv, .jsonl, .parquet) decides its format.

    Returns:
        The number of events.

    Raises:
        ConfigError: the suffix is unknown, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: must end in one of {', '.join(FORMATS)}.")
    assert isinstance(config, SyntheticConfig)  # noqa: S101 - for the type checker
    rows = generate(config)

    # Positions at which users start, and the step of each row in its user's history
    starts_N = np.flatnonzero(np.diff(rows.users_N, prepend=0))
    steps_N = np.arange(len(rows)) - np.repeat(starts_N, np.diff(starts_N, append=len(rows)))

    # An event for each behavior of a row
    places_M, columns_M = np.nonzero(rows.sets_NK)
    table = {
        "user": rows.users_N[places_M],
        "item": rows.items_N[places_M],
        "ts": START_S + STEP_S * steps_N[places_M],
        "kind": columns_M,
    }
    names = ", ".join(map(literal, config.behaviors))
    with (
        folder.whole_file(path) as new,
        TemporaryDirectory() as scratch,
        connected(Path(scratch)) as database,
    ):
        database.register("events", table)
        database.execute(
            f"COPY (SELECT 'u' || \"user\" AS user_id, 'i' || item AS item_id, "
            f"strftime(to_timestamp(ts), '%Y-%m-%dT%H:%M:%SZ') AS ts, [{names}][kind + 1] AS event "
            'FROM events ORDER BY events.ts, "user", kind) '
            f"TO {literal(str(new))} ({FORMATS[path.suffix]})"
        )
    return len(places_M)

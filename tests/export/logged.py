"""The log that small models of a catalog recommend from: a row an event, with ids u1, u2, ... and i1, i2, ..."""

from typing import Any

from blade_tune.catalog import Catalog
from blade_tune.data.raw.settings import LogFormat
from blade_tune.export.recommender import Recommender
from tests.builders import make_model


def form_of(catalog: Catalog, **more: Any) -> LogFormat:
    """Columns user, item, at and did, which names a behavior of the catalog."""
    names = catalog.behaviors
    return LogFormat(
        user="user", item="item", time="at", type="did", behaviors=names, columns=names, **more
    )


def ids(letter: str, number: int) -> list[str]:
    return [f"{letter}{n}" for n in range(1, number + 1)]


def made(model: str, catalog: Catalog, form: LogFormat) -> Recommender:
    users, items = ids("u", catalog.num_users), ids("i", catalog.num_items)
    return Recommender(make_model(model, catalog).eval(), form, users, items)

"""Bundles of small models, and newer splits as `data prepare` would write them, under any numbering of the same ids."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blade_tune.catalog import Interactions
from blade_tune.data.sources.split_files import FILES
from blade_tune.data.sources.synthetic import generate
from blade_tune.data.split import split_by_time
from blade_tune.data.store import prepare
from blade_tune.export import checksums
from blade_tune.export.final import ExportOptions, export_best
from blade_tune.export.retraining import Retrained, RetrainOptions, retrain_bundle
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.data.raw.logs import EVENTS
from tests.tiny import DATA, content, define, stored, work

CPU = torch.device("cpu")
BEHAVIORS = ("view", "cart", "buy")
LOG = EVENTS.model_dump(mode="json")


def walks(num_users: int = 40, num_items: int = 40, **law: Any) -> Interactions:
    """Interactions of made-up users, whose auxiliary behavior is `view`."""
    settings = {"behaviors": list(BEHAVIORS), "auxiliary": "view", **law}
    data = {**DATA, "num_users": num_users, "num_items": num_items, **settings}
    return generate(define(data=data).data)


def cut(rows: Interactions, newest: int) -> Interactions:
    """The rows without the newest ones of each user."""
    left_N = np.array([np.count_nonzero(rows.users_N[n:] == u) for n, u in enumerate(rows.users_N)])
    return rows.rows(left_N > newest)


def write_newer(
    folder: Path,
    rows: Interactions,
    numbering: np.random.Generator | None = None,
    change: Callable[[Interactions], Interactions] = lambda train: train,
    **facts: Any,
) -> Path:
    """Write interactions as a prepared split; user 7 has the id u7 and item 7 the id i7, whatever their numbers.

    Args:
        folder: the folder to write.
        rows: all interactions.
        numbering: draws the numbers of users and items; None for those of the rows.
        change: changes the train rows.
        facts: more of `preparation.json`.
    """
    folder.mkdir(parents=True)
    orders = {}
    for letter, ids_N in (("user", rows.users_N), ("item", rows.items_N)):
        ids = np.unique(ids_N)
        orders[letter] = ids if numbering is None else numbering.permutation(ids)
        lines = [f"{n},{letter[0]}{i}" for n, i in enumerate(orders[letter], start=1)]
        (folder / f"{letter}s.csv").write_text("\n".join([f"number,{letter}", *lines]) + "\n")
    numbers = {
        letter: {int(i): n for n, i in enumerate(order, start=1)}
        for letter, order in orders.items()
    }
    parts = split_by_time(rows, (0,))._asdict()
    parts["train"] = change(parts["train"])
    for part, table in parts.items():
        lines = [
            f"{numbers['user'][int(user)]},{numbers['item'][int(item)]},{','.join(map(str, row))}\n"
            for user, item, row in zip(table.users_N, table.items_N, table.sets_NK, strict=True)
        ]
        (folder / FILES[part]).write_text("".join(lines))
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    recorded = {"name": "shop", "log": LOG, "auxiliary": "view", "ids": "guarded", **facts}
    (folder / "preparation.json").write_text(json.dumps({**recorded, "sha256": digests}))
    return folder


def export(results: Path, split: Path, *, options: Mapping[str, Any] = {}, **changes: Any) -> Path:
    """The bundle of the best trial of a small study on a split."""
    data = {
        "source": "split_files",
        "name": "shop",
        "behaviors": list(BEHAVIORS),
        "auxiliary": "view",
    }
    study = define(**{**content(), "data": data, "search": {"trials": 1}, **changes})
    found = prepare(study.data, split, results)
    work(open_study(study, found, Workspace.at(None, results), directory=split))
    export_best(stored(results), ExportOptions(results / "first", CPU, **options))
    return results / "first"


FITTED: dict[str, Any] = {"model": "sequential_rules", "space": {"model": {"max_length": 6}}}


def export_fitted(results: Path, split: Path) -> Path:
    """The bundle of rules between items, which are fitted in no time."""
    return export(results, split, train={}, **FITTED)


def again(bundle: Path, split: Path | None, out: Path, **options: Any) -> Retrained:
    """Retrain a bundle."""
    results = options.pop("results", out.parent / "results")
    return retrain_bundle(RetrainOptions(bundle, out, CPU, results, split, **options))


def changed(bundle: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file of a bundle, and write its checksums anew."""
    content = read(bundle, name)
    change(content)
    (bundle / name).write_text(json.dumps(content))
    (bundle / checksums.FILE).unlink()
    checksums.write(bundle)


def read(bundle: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((bundle / name).read_text(encoding="utf-8")))

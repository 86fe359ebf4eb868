"""A reader's folder in which studies and spaces of the pages' names are small ones, so that commands end soon."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.config import write_yaml
from blade_tune.data.sources.base import open_source
from blade_tune.data.sources.split_files import FILES
from tests.tiny import define

CLICKS = ("click", "like", "share", "follow")
EVENTS = ("view", "cart", "buy")
GRID = {"trials": 200, "sampler": "grid"}
# What is searched, a point of each model, so that a grid ends with it
SPACES: dict[str, dict[str, Any]] = {
    "blade": {
        "embedding_size": 8,
        "max_length": 8,
        "num_blocks": 1,
        "num_heads": 1,
        "num_experts": 2,
        "augmentation": "add",
        "rho": 0.5,
        "lambda_": 0.1,
        "dropout": {"choice": [0.1]},
    },
    "sasrec": {"embedding_size": 8, "max_length": 8, "dropout": {"choice": [0.1]}},
    "eidp": {"embedding_size": 8, "max_length": 8, "dropout": {"choice": [0.1]}},
    "item_knn": {"neighbors": {"choice": [20]}},
    "ials": {"factors": 4, "iterations": 2, "regularization": {"choice": [10.0]}},
    "combination": {"weight_2": {"choice": [1.0]}},
}
SPACES |= dict.fromkeys(("blade-any", "blade-extended"), SPACES["blade"])
# All that `--models all` means to a command, beside which the pages name others
FEW = ("item_knn", "sasrec", "blade")


def write_world(folder: Path) -> Path:
    """The folder `work` of a reader whose `~` is the folder `home`, as the pages have it."""
    work = folder / "work"
    for name, space in SPACES.items():
        write(work / "search_spaces" / f"{name}.yaml", {"model": space})
    write_study(work, "qk-video", split_files("qk-video", CLICKS))
    write_split(folder / "home" / "data" / "qk-video", CLICKS)
    # As `data prepare` would write them, which leaves a file alone that is there
    logs = {"shop": EVENTS, "small": EVENTS, "movielens": ("rate", "like")}
    for name, behaviors in logs.items():
        write_study(work, name, split_files(name, behaviors), run={"data": f"data/{name}"})
    return work


def write_study(folder: Path, name: str, data: Mapping[str, Any], **more: Any) -> None:
    """A study of one epoch, which ends once every point of its space was tried."""
    content = {
        "model": "blade",
        "data": dict(data),
        "train": {"max_epochs": 1, "eval_every": 1},
        "search": GRID,
        **more,
    }
    write(folder / "studies" / f"{name}.yaml", content)


def write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(write_yaml(dict(content)), encoding="utf-8")


def made_up(name: str, behaviors: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """Data of a few users."""
    law = {"num_users": 40, "num_items": 40, "num_clusters": 10, "max_length": 12}
    return {
        "source": "synthetic",
        "name": name,
        "behaviors": [*behaviors],
        "auxiliary": behaviors[0],
        **law,
        **more,
    }


def split_files(name: str, behaviors: tuple[str, ...]) -> dict[str, Any]:
    return {
        "source": "split_files",
        "name": name,
        "behaviors": [*behaviors],
        "auxiliary": behaviors[0],
    }


def write_split(folder: Path, behaviors: tuple[str, ...]) -> None:
    """Made-up rows as somebody has published them."""
    source = open_source(define(data=made_up("published", behaviors)).data, None)
    train, valid = source.search()
    between, test = source.sealed()
    folder.mkdir(parents=True)
    parts = {"train": train, "valid": valid, "between": between, "test": test}
    for part, rows in parts.items():
        lines = [
            f"{user},{item},{','.join(map(str, row))}\n"
            for user, item, row in zip(rows.users_N, rows.items_N, rows.sets_NK, strict=True)
        ]
        (folder / FILES[part]).write_text("".join(lines))

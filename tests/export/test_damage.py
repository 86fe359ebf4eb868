"""Damage to a bundle: noticed, or without effect; never other recommendations, and never a traceback."""

import hashlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from blade_tune.catalog import Catalog
from blade_tune.data.raw.settings import LogFormat
from blade_tune.errors import DataError
from blade_tune.export import checksums
from blade_tune.export.checksums import FILES
from blade_tune.export.reading import load_bundle
from blade_tune.export.recommender import Recommender
from blade_tune.models import MODELS, config_class
from tests.builders import MEMBERS, make_catalog, make_model

HISTORIES = {"1": [("3", ["click"]), ("9", ["like"])], "new": [("12", ["share"])]}
LOADED = (
    "weights.safetensors",
    "best.yaml",
    "catalog.json",
    "provenance.json",
    "users.csv",
    "items.csv",
)


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """A bit flipped, a piece cut out, or two pieces swapped."""
    kind, place, size = draw.randrange(3), draw.randrange(len(raw)), draw.randint(1, 40)
    if kind == 0:
        return raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]
    if kind == 1:
        return raw[:place] + (raw[place + size :] if draw.random() < 0.5 else b"")
    other = draw.randrange(len(raw))
    low, high = sorted((place, other))
    first, second = raw[low : low + size][: high - low], raw[high : high + size]
    return raw[:low] + second + raw[low + len(first) : high] + first + raw[high + len(second) :]


def relisted(folder: Path) -> None:
    """Give every file the checksum that it has."""
    (folder / "checksums.json").unlink(missing_ok=True)
    checksums.write(folder)


def test_random_damage_is_noticed_or_without_effect(copied: Path) -> None:
    """1,000 times a file is flipped, cut or swapped: the bundle is refused, or recommends the very same."""
    draw = random.Random(0)  # noqa: S311 - repeatable damage
    expected, refused = Recommender.load(copied).recommend(HISTORIES), 0
    for _ in range(1000):
        path = copied / draw.choice([*FILES, "checksums.json"])
        before = path.read_bytes()
        path.write_bytes(damaged(before, draw))
        try:
            assert Recommender.load(copied).recommend(HISTORIES) == expected, path
        except DataError:
            refused += 1
        path.write_bytes(before)
    assert refused > 950
    assert Recommender.load(copied).recommend(HISTORIES) == expected


def test_what_was_written_so_is_refused_or_whole(copied: Path) -> None:
    """Where checksums go with the damage, it is one DataError, or a bundle that recommends to everybody."""
    draw = random.Random(1)  # noqa: S311 - repeatable damage
    refused = 0
    for _ in range(300):
        path = copied / draw.choice(LOADED)
        before = path.read_bytes()
        path.write_bytes(damaged(before, draw))
        relisted(copied)
        try:
            found = Recommender.load(copied).recommend(HISTORIES, k=3)
            assert all(len(items) in (0, 3) for items in found.values())
        except DataError:
            refused += 1
        path.write_bytes(before)
    assert refused > 150


# --- damage of one kind, with checksums that go with it ---


def change(**facts: Any) -> Callable[[Path], None]:
    """Other facts in catalog.json."""

    def changed(folder: Path) -> None:
        path = folder / "catalog.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))

    return changed


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Another content of a file."""
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(raw) and None


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Other words in a file, which it must have."""

    def replaced(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        assert old.encode() in raw
        (folder / name).write_bytes(raw.replace(old.encode(), new.encode(), 1))

    return replaced


def weights(edit: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """The table of items changed."""

    def changed(folder: Path) -> None:
        tensors = load_file(folder / "weights.safetensors")
        save_file(
            {**tensors, "items.weight": edit(tensors["items.weight"])},
            folder / "weights.safetensors",
        )

    return changed


HEADER = 2**63
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "NaN weights": (
        weights(lambda w: w.index_fill(0, torch.tensor([3]), float("nan"))),
        "NaN or infinite",
    ),
    "infinite weights": (weights(lambda w: w * float("inf")), "NaN or infinite"),
    "weights of another type": (
        weights(lambda w: w.double()),
        r"must be torch\.float32 .* got torch\.float64",
    ),
    "weights of another shape": (
        weights(lambda w: w[:-1].contiguous()),
        "must be torch.float32 of shape",
    ),
    "a relabelled type": (
        replace("weights.safetensors", '"F32"', '"I32"'),
        r"must be torch\.float32 .* torch\.int32",
    ),
    "a header of lies": (
        write("weights.safetensors", HEADER.to_bytes(8, "little") + b"{}"),
        "is malformed",
    ),
    "no weights": (write("weights.safetensors", b""), "is malformed"),
    "other weights": (
        lambda folder: save_file({"a": torch.ones(1)}, folder / "weights.safetensors"),
        "must have the",
    ),
    "a catalog that is a list": (write("catalog.json", "[]"), "catalog.json"),
    "a catalog of nothing": (write("catalog.json", ""), "is malformed"),
    "an endless catalog": (write("catalog.json", "[" * 100_000), "is malformed"),
    "a catalog that is no text": (write("catalog.json", b"\xff"), "is malformed"),
    "users without end": (
        change(num_users=10**10),
        "must have the 10,000,000,000 users of catalog.json, got 30",
    ),
    "items without end": (change(num_items=10**10), "must have the 10,000,000,000 items"),
    "no items": (change(num_items=0), "num_items must be greater than or equal to 1"),
    "a count that is text": (change(num_users="30"), "num_users must be a valid integer"),
    "a count too few": (change(behavior_counts_K=[1]), "behaviors must have a count each"),
    "a huge count": (change(behavior_counts_K=[10**30] * 4), "behavior_counts_K"),
    "another auxiliary": (change(auxiliary=4), "auxiliary and log must go with behaviors"),
    "auxiliary behaviors out of order": (
        change(auxiliary=[1, 0]),
        "auxiliary and log must go with behaviors",
    ),
    "an auxiliary behavior twice": (
        change(auxiliary=[1, 1]),
        "auxiliary and log must go with behaviors",
    ),
    "no target": (change(auxiliary=[0, 1, 2, 3]), "auxiliary and log must go with behaviors"),
    "an auxiliary behavior that is no number": (change(auxiliary="click"), "auxiliary"),
    "other behaviors": (
        change(behaviors=["a", "b", "c", "d"]),
        "auxiliary and log must go with behaviors",
    ),
    "an unknown model": (change(model="blad"), "unknown model 'blad'"),
    "an unknown key": (change(surplus=1), "unknown key surplus"),
    "members of a model without": (
        change(members=[{"model": "popularity", "settings": {}}]),
        "is malformed",
    ),
    "a configuration that is a list": (
        write("best.yaml", "model: [1]"),
        "must be a space with nothing free",
    ),
    "a configuration of another kind": (
        write("best.yaml", "modle: {}"),
        "must be a space with nothing free",
    ),
    "an endless configuration": (write("best.yaml", "[" * 100_000), "best.yaml"),
    "an impossible setting": (
        replace("best.yaml", "num_blocks: 1", "num_blocks: 0"),
        "num_blocks must be greater",
    ),
    "another width": (
        replace("best.yaml", "embedding_size: 8", "embedding_size: 16"),
        "must be torch.float32 of shape",
    ),
    "an item list of nothing": (write("items.csv", ""), "must have the columns number and item"),
    "an item list of one column": (write("items.csv", "number,item\n1\n"), "must have the columns"),
    "an item list in another order": (
        replace("items.csv", "\n1,", "\n2,"),
        "numbers 1, 2, ... in their order",
    ),
    "an item twice": (lambda folder: twice(folder / "items.csv"), "must have each item once"),
    "a cut item list": (
        lambda folder: cut(folder / "items.csv"),
        "must have the 38 items of catalog.json, got 37",
    ),
    "an open quote": (replace("items.csv", "\n1,", '\n1,"'), "is malformed"),
    "an item list that is no text": (write("items.csv", b"number,item\n1,\xff\n"), "is malformed"),
}


def twice(path: Path) -> None:
    lines = path.read_text().splitlines()
    lines[2] = "2," + lines[1].partition(",")[2]
    path.write_text("\n".join(lines) + "\n")


def cut(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_malformed_bundle_is_one_clear_error(copied: Path, kind: str) -> None:
    """Whatever does not go with the rest is refused when the bundle is loaded, with its place and the law."""
    damage, law = DAMAGE[kind]
    damage(copied)
    relisted(copied)
    with pytest.raises(DataError, match=law) as error:
        Recommender.load(copied)
    assert str(error.value).startswith(str(copied))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_listed_is_refused(copied: Path, name: str) -> None:
    """Every file of a bundle has a checksum, the ones that only people read too."""
    content = json.loads((copied / "checksums.json").read_text())
    del content["files"][name]
    content["digest"] = hashlib.sha256(
        json.dumps(content["files"], sort_keys=True).encode()
    ).hexdigest()
    (copied / "checksums.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"does not list a file of every bundle, {name}"):
        Recommender.load(copied)


def test_a_file_that_is_none_of_a_bundle_is_not_looked_at(copied: Path) -> None:
    """What a file manager leaves beside is of no account."""
    expected = Recommender.load(copied).recommend(HISTORIES)
    (copied / ".DS_Store").write_bytes(b"\x00")
    assert Recommender.load(copied).recommend(HISTORIES) == expected
    (copied / ".DS_Store").unlink()
    (copied / "more.json").write_text("{}")
    relisted(copied)
    with pytest.raises(DataError, match=r"lists a file that no bundle has, more\.json"):
        Recommender.load(copied)


# --- what a fit has sized ---


def small_bundle(folder: Path, name: str) -> Catalog:
    """The files that are read of a bundle of a model, the others empty."""
    catalog = make_catalog()
    folder.mkdir()
    model = make_model(name, catalog)
    facts = {
        key: value.tolist() if hasattr(value, "tolist") else value
        for key, value in vars(catalog).items()
    }
    members = [
        {"model": member, "settings": {"max_length": 6, **own}} for member, own in MEMBERS.items()
    ]
    log = LogFormat.of_split_files(catalog.behaviors).model_dump(mode="json")
    facts |= {"model": name, "members": members if name == "combination" else [], "log": log}
    (folder / "catalog.json").write_text(json.dumps(facts))
    (folder / "best.yaml").write_text("model: {max_length: 6}\n")
    defaults = {
        f"model.{key}": info.default for key, info in config_class(name).model_fields.items()
    }
    space = {key: value for key, value in defaults.items() if isinstance(value, str | int | float)}
    (folder / "provenance.json").write_text(json.dumps({"fingerprint": {"space": space}}))
    save_file(
        {name: part.contiguous() for name, part in model.state_dict().items()},
        folder / "weights.safetensors",
    )
    for kind, number in (("user", catalog.num_users), ("item", catalog.num_items)):
        lines = "".join(f"{n},{n}\n" for n in range(1, number + 1))
        (folder / f"{kind}s.csv").write_text(f"number,{kind}\n{lines}")
    for other in set(FILES) - set(LOADED):
        (folder / other).touch()
    checksums.write(folder)
    return catalog


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_read_back_and_refused_where_a_tensor_is_odd(
    tmp_path: Path, name: str
) -> None:
    """Of each model, a tensor cut by a row, an index outside or a number that is none is noticed.

    Of tensors whose names differ in numbers only, as those of two blocks, one stands for all.
    """
    small_bundle(tmp_path / "bundle", name)
    load_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / "weights.safetensors"
    tensors = load_file(path)
    kinds = {re.sub(r"\d+", "", key): key for key, tensor in tensors.items() if tensor.numel()}
    for key in kinds.values():
        tensor = tensors[key]
        odd = [tensor[:-1].contiguous()] if tensor.dim() else []
        if tensor.is_floating_point():
            odd.append(tensor * float("nan"))
        elif tensor.dtype != torch.uint8:
            odd += [tensor + 10_000, tensor - 10_000]
        for changed in odd:
            save_file({**tensors, key: changed}, path)
            relisted(tmp_path / "bundle")
            with pytest.raises(DataError, match=r"weights\.safetensors"):
                load_bundle(tmp_path / "bundle")

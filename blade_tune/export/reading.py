"""Reading of a bundle, which is checked as a whole before any of it is used, so that damage is one clear error.

A bundle may come from anywhere. Checksums show accidental damage; beyond that, every value is checked for its type,
its shape and its fit with the others, and the model must score once, before a caller gets it.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import BeforeValidator, Field, field_validator, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.choices import TargetSet
from blade_tune.config import Settings, parse, read_yaml
from blade_tune.data.auxiliary import auxiliaries
from blade_tune.data.raw.settings import MAX_BEHAVIORS, LogFormat, of_now
from blade_tune.errors import BladeTuneError, ConfigError, DataError
from blade_tune.export import checksums
from blade_tune.layers.sparse import Sized, Sparse
from blade_tune.models.base import RecommenderModel
from blade_tune.models.build import build_model
from blade_tune.models.settings.earlier import EARLIER, defaults_then
from blade_tune.space import GROUPS

MALFORMED = (  # exceptions that readers and models raise on malformed files
    OSError,
    SafetensorError,
    csv.Error,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Number = Annotated[int, Field(strict=True, ge=1, lt=2**63)]


class MemberEntry(Settings):
    """An entry of catalog.json on one of the models that a combination is made of."""

    model: str
    settings: dict[str, Any]


class Facts(Settings):
    """Content of catalog.json."""

    model: str  # name of the model
    members: tuple[MemberEntry, ...] = ()  # of a combination of models; else empty
    num_users: Number
    num_items: Number
    behaviors: tuple[str, ...] = Field(min_length=1, max_length=MAX_BEHAVIORS)
    auxiliary: Annotated[tuple[Count, ...], BeforeValidator(auxiliaries)]  # columns, ascending
    behavior_counts_K: tuple[Count, ...]
    pair_counts_KK: tuple[tuple[Count, ...], ...]
    mode_set_K: tuple[Literal[0, 1], ...] | None = None  # an earlier version did not write it
    # What the model was told of the items to predict when it was chosen and tested
    target_set: TargetSet = "truth"
    log: LogFormat
    formats: tuple[
        LogFormat, ...
    ] = ()  # of a log whose files have columns of their own; else empty

    @field_validator("log", mode="before")
    @classmethod
    def _log_of_before(cls, facts: Any) -> Any:
        return of_now(facts) if isinstance(facts, Mapping) else facts

    @model_validator(mode="after")
    def _fits(self) -> Self:
        K = len(self.behaviors)
        ascending = tuple(column for column in range(K) if column in self.auxiliary)
        named = {form.behaviors for form in (self.log, *self.formats)}
        fits = self.auxiliary == ascending and len(ascending) < K
        if not fits or named != {self.behaviors}:
            raise ValueError("auxiliary and log must go with behaviors")
        if [len(self.behavior_counts_K), *map(len, self.pair_counts_KK)] != [K] * (K + 1):
            raise ValueError("behaviors must have a count each, and one a pair")
        if self.mode_set_K is not None and len(self.mode_set_K) != K:
            raise ValueError("mode_set_K must say of each behavior whether the set has it")
        if self.target_set == "mode" and self.mode_set_K is None:
            raise ValueError("target_set mode must come with mode_set_K")
        return self

    @property
    def catalog(self) -> Catalog:
        """What the model knows of its data, as a Catalog."""
        return Catalog(
            num_users=self.num_users,
            num_items=self.num_items,
            behaviors=self.behaviors,
            auxiliary=self.auxiliary,
            behavior_counts_K=np.array(self.behavior_counts_K, np.int64),
            pair_counts_KK=np.array(self.pair_counts_KK, np.int64),
            mode_set_K=None if self.mode_set_K is None else np.array(self.mode_set_K, np.uint8),
        )


@dataclass(frozen=True)
class Loaded:
    """A bundle that was read: the model, on the CPU and in evaluation mode, and what is needed to use it."""

    model: RecommenderModel
    log: LogFormat  # how a log of the model's data is read
    formats: Sequence[LogFormat]  # of a log whose files have columns of their own; else empty
    users: list[str]  # ids in the log of the users 1, 2, ...
    items: list[str]  # ids in the log of the items 1, 2, ...
    target_set: TargetSet  # what the model was told of the items to predict when it was chosen
    digest: str  # of the bundle, see `checksums.verify`


def load_bundle(folder: Path) -> Loaded:
    """Read a bundle that `export-best` wrote, and check that its model works.

    Raises:
        DataError: a file is missing, was changed, or does not fit the others; or this version of the program has no
            such model or setting.
    """
    digest = checksums.verify(folder)
    with _read(folder / "catalog.json") as path:
        facts = parse(Facts, json.loads(path.read_text(encoding="utf-8")), str(path))
    ids: dict[str, list[str]] = {}
    for kind, number in (("user", facts.num_users), ("item", facts.num_items)):
        with _read(folder / f"{kind}s.csv") as path:
            ids[kind] = _ids(path, kind)
            if len(ids[kind]) != number:
                raise DataError(
                    f"{path}: must have the {number:,} {kind}s of catalog.json, got {len(ids[kind]):,}."
                )
    with _read(folder / "provenance.json") as path:
        fingerprint = json.loads(path.read_text(encoding="utf-8")).get("fingerprint", {})
        stored = fingerprint.get("space", {})
    with _read(folder / "best.yaml") as path:
        model = _built(facts, read_yaml(path), stored, path)
    with _read(folder / "weights.safetensors") as path:
        _fill(model, load_file(path), path)
        _try(model, path)
    return Loaded(
        model, facts.log, facts.formats, ids["user"], ids["item"], facts.target_set, digest
    )


@contextmanager
def _read(path: Path) -> Iterator[Path]:
    """Turn any error that a malformed file causes in the block into a DataError of one line that names the file."""
    try:
        yield path
    except DataError:
        raise
    except BladeTuneError as error:
        raise DataError(str(error).partition("\n")[0]) from None
    except MALFORMED as error:
        raise DataError(
            f"{path}: is malformed ({_words(error)}); export the bundle again."
        ) from None


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _ids(path: Path, kind: str) -> list[str]:
    """Read the ids of the numbers 1, 2, ..., which must be complete and distinct."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    expected = [["number", kind]]
    for number, row in enumerate(rows[1:], start=1):
        if row:
            expected.append([str(number), row[-1]])
    if rows != expected:
        raise DataError(
            f"{path}: must have the columns number and {kind}, and the numbers 1, 2, ... in their order."
        )
    ids = [name for _, name in rows[1:]]
    if len(set(ids)) < len(ids):
        raise DataError(f"{path}: must have each {kind} once.")
    return ids


def _built(
    facts: Facts, best: Mapping[str, Any], stored: Mapping[str, Any], path: Path
) -> RecommenderModel:
    """Build the model of a bundle, still without its weights.

    Args:
        facts: the content of catalog.json.
        best: the content of best.yaml.
        stored: the part `space` of the study's fingerprint, whose defaults hold where best.yaml says nothing.
        path: the path of best.yaml.
    """
    settings = best.get("model", {})
    if not best.keys() <= set(GROUPS) or not isinstance(settings, dict):
        raise DataError(
            f"{path}: must be a space with nothing free, of the groups {', '.join(GROUPS)}."
        )
    members = [
        (member.model, {**EARLIER.get(member.model, {}), **member.settings})
        for member in facts.members
    ]
    try:
        settings = {**defaults_then(facts.model, stored), **settings}
        return build_model(facts.model, settings, facts.catalog, str(path), members).eval()
    except ConfigError as error:
        rule = "must be a model of this version of the program"
        way_out = "use the version that provenance.json names, or export the bundle again"
        fact = str(error).partition("\n")[0]
        # An error that names another file is about the model's name, not about its settings.
        if not str(error).startswith(str(path)):
            fact = f"{path.with_name('catalog.json')}: {fact}"
        raise DataError(f"{fact} It {rule}; {way_out}.") from None


def _fill(model: RecommenderModel, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a model, after a check that they are the model's, with its types and shapes, and finite."""
    expected = model.state_dict()
    differing = sorted(expected.keys() ^ weights.keys())
    if differing:
        name = differing[0]
        fact = "none of them" if name in weights else "missing"
        raise DataError(f"{path}: must have the weights of the model, and {name} is {fact}.")

    sized = _sized_buffers(model)
    for name, tensor in weights.items():
        dtype, shape = expected[name].dtype, expected[name].shape
        has_shape = name in sized or tensor.shape == shape
        if tensor.dtype != dtype or not has_shape:
            raise DataError(
                f"{path}: {name} must be {dtype} of shape {list(shape)}, "
                f"got {tensor.dtype} of shape {list(tensor.shape)}."
            )
        if not torch.isfinite(tensor).all():
            raise DataError(
                f"{path}: {name} must hold numbers, and has one that is NaN or infinite."
            )
    model.load_state_dict(weights)


def _sized_buffers(model: RecommenderModel) -> set[str]:
    """Return the names of buffers whose shape depends on the data, so that a new model cannot tell it."""
    names = set()
    for prefix, part in model.named_modules():
        if isinstance(part, Sized):
            for name, _ in part.named_buffers(recurse=False):
                names.add(f"{prefix}.{name}".lstrip("."))
    return names


def _try(model: RecommenderModel, path: Path) -> None:
    """Score once for a made-up user, to see that buffers sized by a fit go together and that scores are finite."""
    for part in model.modules():
        if isinstance(part, Sparse):
            _check_sparse(part, path)
    # The last user, the last item and every behavior: a table that is too small fails here.
    V, K = model.catalog.num_items, model.catalog.num_behaviors
    sets_BLK = torch.ones(1, 1, K, dtype=torch.uint8)
    last = torch.tensor([[V]])
    batch = Batch(torch.tensor([model.catalog.num_users]), last, sets_BLK, last, sets_BLK)
    with torch.inference_mode():
        scores_BV = model.scores(batch)
    if scores_BV.shape != (1, V + 1) or not torch.isfinite(scores_BV[:, 1:]).all():
        raise DataError(f"{path}: must give every item a score, and does not.")


def _check_sparse(part: Sparse, path: Path) -> None:
    """Refuse a sparse matrix whose arrays contradict each other, for scipy would read outside of their memory."""
    if not _is_sparse_matrix(part):
        raise DataError(f"{path}: a sparse matrix must hold together, and does not.")


def _is_sparse_matrix(part: Sparse) -> bool:
    """Return whether the arrays of a sparse matrix in compressed rows go together."""
    starts, columns, values = part.starts, part.columns, part.values
    num_rows, num_columns = part.shape
    # Shapes first: the checks of content need them
    if starts.shape != (num_rows + 1,):
        return False
    count = len(values)
    if columns.shape != (count,) or values.shape != (count,):
        return False
    if int(starts[0]) != 0 or int(starts[-1]) != count or bool((starts.diff() < 0).any()):
        return False
    return not bool(((columns < 0) | (columns >= num_columns)).any())

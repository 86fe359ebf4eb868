"""Content of a bundle: a trained model as a folder of safetensors, YAML, CSV and JSON, none of which is code.

weights.safetensors   the model's weights
best.yaml             the model's configuration, in the form of a search space without free parameters
catalog.json          the model's name, what the model knows of its data, and how a log of the data is read
users.csv items.csv   internal number -> id in the log
metrics.json          validation and test figures
ranks.npy             the rank of each test user's item, in the order of users
provenance.json       versions, hashes, seeds, commit, command, license of the data
README.md             the model card
program.pt2           its scores as a program that torch alone runs; only where it was asked for
checksums.json        checksums of all other files

`writing` writes the folder, and `reading` reads it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from blade_tune.catalog import Catalog
from blade_tune.data.raw.settings import LogFormat
from blade_tune.models.build import MemberModel
from blade_tune.parameter import Value


@dataclass(frozen=True)
class Bundle:
    """Content of a bundle in memory, before it is written."""

    model_name: str
    values: Mapping[str, Value]  # the configuration by dotted name
    # The models that a combination is made of, in the order of its weights; else empty
    members: Sequence[MemberModel]
    catalog: Catalog
    weights: Mapping[str, Tensor]
    log: LogFormat  # how histories are read
    formats: Sequence[LogFormat]  # of a log whose files have columns of their own; else empty
    user_ids_U: Sequence[str]  # ids in the log, without the padding: user u is at u - 1
    item_ids_V: Sequence[str]  # ids in the log, without the padding: item v is at v - 1
    metrics: Mapping[str, Any]
    ranks_U: Tensor  # 0-based rank of each test user's item
    provenance: Mapping[str, Any]
    program: bytes = b""  # content of program.pt2; empty if there is none

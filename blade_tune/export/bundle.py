"""The bundle: a trained model as a folder of safetensors, YAML, CSV and JSON; nothing in it is code.

weights.safetensors   the model's weights
best.yaml             its configuration, itself a space with nothing free
catalog.json          the model's name, what it knows of its data, and how a log of it is read
users.csv items.csv   internal number -> id in the log
metrics.json          validation and test figures
ranks.npy             the rank of each test user's item, in order of user
provenance.json       versions, hashes, seeds, commit, command, license of the data
README.md             the model card
checksums.json        of all other files; `reading.py` reads the folder back
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from blade_tune.batch import Catalog
from blade_tune.data.raw.settings import LogFormat
from blade_tune.models.build import MemberModel
from blade_tune.parameter import Value


@dataclass(frozen=True)
class Bundle:
    """Everything that is written, in memory."""

    model_name: str
    values: Mapping[str, Value]  # the configuration by dotted name
    members: Sequence[MemberModel]  # of a combination, in the order of its weights
    catalog: Catalog
    weights: Mapping[str, Tensor]
    log: LogFormat  # how histories are read
    user_ids_U: Sequence[str]  # without the padding, so that user u is at u - 1
    item_ids_V: Sequence[str]
    metrics: Mapping[str, Any]
    ranks_U: Tensor
    provenance: Mapping[str, Any]

"""Content hashes: what prepared data is found by, and what a study remembers its data by."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 2  # raise when a prepared array or what it means changes: what was prepared before is then built again


def key(**facts: Any) -> str:
    """Hash of plain facts, under which prepared data is stored."""
    return hashlib.sha256(_canonical({"format": FORMAT, **facts})).hexdigest()


def content_hash(arrays: Mapping[str, NDArray[Any]], **facts: Any) -> str:
    """Hash of arrays and plain facts; the same on every machine."""
    digest = hashlib.sha256(_canonical(facts))
    for name in sorted(arrays):
        array = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        digest.update(_canonical([name, array.dtype.str, array.shape]))
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _canonical(facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True).encode()

"""Content hashes, under which prepared data is stored and by which a study recognizes its data."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Raise it when a prepared array or its meaning changes, so that older prepared data is built again
FORMAT = 2


def key(**facts: Any) -> str:
    """Return a SHA-256 of plain facts and FORMAT, the name under which prepared data is stored."""
    return hashlib.sha256(_canonical({"format": FORMAT, **facts})).hexdigest()


def content_hash(arrays: Mapping[str, NDArray[Any]], **facts: Any) -> str:
    """Return a SHA-256 of arrays and plain facts, equal on machines of either byte order."""
    digest = hashlib.sha256(_canonical(facts))
    for name in sorted(arrays):
        # The array with its lowest bytes first, so that machines agree
        little_endian = arrays[name].dtype.newbyteorder("<")
        array = arrays[name].astype(little_endian, copy=False)
        digest.update(_canonical([name, array.dtype.str, array.shape]))
        flat = np.ascontiguousarray(array).reshape(-1)
        digest.update(flat.view(np.uint8).data)
    return digest.hexdigest()


def _canonical(facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True).encode()

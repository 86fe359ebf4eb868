"""Defaults of settings that were others before: what a study, bundle or member that was stored then means by them."""

from collections.abc import Mapping
from typing import Any

from blade_tune.models import config_class
from blade_tune.parameter import Value

_SAMPLES: Mapping[str, Value] = {"auxiliary_weight": 1.0}
# Model -> setting -> what held where nothing was said, before today's default or before there was the setting
EARLIER: Mapping[str, Mapping[str, Value]] = {
    "cl4srec": {
        "dropout": 0.3,
        "loss": "bce",
        "outer_norm": "final",
        "ffn_multiple": 1,
        "activation": "relu",
        "positions": "newest",
        "init": "xavier",
        "layer_norm_eps": 1e-8,
        "similarity": "dot",
    },
    "dymus": _SAMPLES,
    "dymus_plus": _SAMPLES,
}


def defaults_then(model: str, stored: Mapping[str, Any]) -> dict[str, Value]:
    """Return the defaults of a model that differ from today's, as they were when something was stored.

    Args:
        model: the name of the model.
        stored: the part `space` of the fingerprint that was stored, which has the default of every setting that there
            was then, unless its space fixed or searched it.

    Returns:
        Field of the model's settings -> the default then.
    """
    then = {}
    for field, info in config_class(model).model_fields.items():
        earlier = EARLIER.get(model, {}).get(field, info.default)
        value = stored.get(f"model.{field}", earlier)
        if not isinstance(value, Mapping) and value != info.default:
            then[field] = value
    return then

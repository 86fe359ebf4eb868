"""Reference of settings: a table for each class that declares keys of a file, from its own declaration."""

from collections.abc import Collection, Mapping
from typing import Any

from markup import code, escaped, table

from blade_tune.config import Settings
from blade_tune.data.config import DataConfig
from blade_tune.data.raw.mapping import FileMapping, LogMapping
from blade_tune.data.raw.settings import Recipe
from blade_tune.data.synthetic_law import SyntheticConfig
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec.recipes import RECIPES, values
from blade_tune.spec.study_file import Enqueued, Member, PrunerConfig, SearchConfig, StudyFile
from blade_tune.training.config import EvaluationConfig, TrainConfig

HEADS = ("setting", "values", "default", "what it is")
KINDS = {
    "array": "list",
    "boolean": "`true` or `false`",
    "integer": "whole number",
    "null": "`null`",
    "number": "number",
    "object": "mapping",
    "string": "text",
}
# Heading of the section -> the class of its keys, in the order of the page
OF_STUDIES: Mapping[str, type[Settings]] = {
    "The file": StudyFile,
    "data": DataConfig,
    "data of source synthetic": SyntheticConfig,
    "objective": EvaluationConfig,
    "train": TrainConfig,
    "search": SearchConfig,
    "search.pruner": PrunerConfig,
    "enqueue": Enqueued,
    "members": Member,
}
OF_LOGS: Mapping[str, type[Settings]] = {
    "Of the whole log": LogMapping,
    "Of each file": FileMapping,
    "recipe": Recipe,
}


def study_file() -> str:
    """Return the keys of a study file, section by section."""
    inherited = set(DataConfig.model_fields)
    return _sections(OF_STUDIES, {SyntheticConfig: inherited})


def log_file() -> str:
    """Return the keys of a mapping file of a log."""
    return _sections(OF_LOGS, {})


def run_settings() -> str:
    """Return the settings of a run."""
    return table(HEADS, rows_of(RunSettings))


def recipes() -> str:
    """Return what each recipe sets."""
    names = dict.fromkeys(name for recipe in RECIPES for name in values(recipe))
    settings = [values(recipe) for recipe in RECIPES]
    rows = [
        (code(name), *(code(each[name]) if name in each else "the model's" for each in settings))
        for name in names
    ]
    return table(("setting", *RECIPES), rows)


def rows_of(
    settings: type[Settings], names: Collection[str] | None = None
) -> list[tuple[str, ...]]:
    """Return a row for each field: name, values, default, description.

    Args:
        settings: the class.
        names: the wanted fields; None for all.
    """
    schema = settings.model_json_schema()
    rows = []
    for name, field in settings.model_fields.items():
        if names is not None and name not in names:
            continue
        described = schema["properties"][field.alias or name]
        text = escaped(field.description or _about(described, schema))
        for other, needed in described.get("only_when", {}).items():
            text += f"; only where {code(other)} is {_listed(map(code, needed))}"
        default = "required" if field.is_required() else _default(described.get("default"))
        rows.append((code(field.alias or name), _values(described, schema), default, text))
    return rows


def _sections(
    classes: Mapping[str, type[Settings]], left_out: Mapping[type[Settings], Collection[str]]
) -> str:
    parts = []
    for heading, settings in classes.items():
        names = set(settings.model_fields) - set(left_out.get(settings, ()))
        about = " ".join((settings.__doc__ or "").split("\n\n")[0].split())
        parts += [f"### {heading}\n", f"{escaped(about)}\n", table(HEADS, rows_of(settings, names))]
    return "\n".join(parts)


def _about(described: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the first line on the class of a section."""
    inner = schema["$defs"][described["$ref"].rpartition("/")[2]]
    return str(inner["description"]).partition("\n")[0]


def _default(default: Any) -> str:
    """Return a default as a YAML file has it; of a section its own defaults."""
    if isinstance(default, dict) and default:
        return "its own"
    if isinstance(default, list):
        return code(f"[{', '.join(map(str, default))}]")
    if default is None or isinstance(default, bool):
        return code({None: "null", True: "true", False: "false"}[default])
    return code(default)


def _values(described: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return which values a field may have, in words, from its JSON schema."""
    if reference := described.get("$ref"):
        inner = schema["$defs"][reference.rpartition("/")[2]]
        return "a section" if inner.get("type") == "object" else _values(inner, schema)
    if "const" in described:
        return code(described["const"])
    if "enum" in described:
        return _listed(map(code, described["enum"]))
    if "anyOf" in described:
        kinds = [_values(each, schema) for each in described["anyOf"]]
        return _listed(dict.fromkeys(_joined(kinds)))
    kind = described.get("type", "")
    if kind == "array" and isinstance(inner := described.get("items"), dict):
        return f"list of {_values(inner, schema)}" if "type" in inner or "enum" in inner else "list"
    if kind == "string" and described.get("format") == "path":
        return "folder"
    return f"{KINDS.get(kind, 'value')}{_bounds(described)}"


def _joined(kinds: list[str]) -> list[str]:
    """Return kinds with those that any plain value may have as one."""
    plain = {KINDS["number"], KINDS["integer"], KINDS["string"], KINDS["boolean"]}
    if plain <= set(kinds):
        return ["value", *(kind for kind in kinds if kind not in plain)]
    return kinds


def _bounds(described: Mapping[str, Any]) -> str:
    """Return the bounds of a number in words."""
    keys = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    words = [f"{word} {described[key]:,.15g}" for key, word in keys.items() if key in described]
    return f" {' '.join(words)}" if words else ""


def _listed(words: Any) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last

"""Base class of all settings, and the only reader and writer of YAML files.

Every file of settings is read by `read_yaml` and checked by `parse`, so that all of them have the same limits and the
same form of error: the place, the rule that is broken, and the value that breaks it, without its secrets.
"""

import difflib
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from blade_tune.errors import ConfigError
from blade_tune.redact import redacted_value

# Limits of a settings file, since few lines with aliases can stand for billions of values.
MAX_DEPTH, MAX_VALUES = 50, 100_000
MOST_NAMES = 12  # known names that an error lists
SMALL_RULE = f"must be nested at most {MAX_DEPTH} levels deep and hold less than {MAX_VALUES:,} values, aliases counted"


class Settings(BaseModel):
    """Immutable settings; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


SettingsT = TypeVar("SettingsT", bound=Settings)


def parse(
    settings: type[SettingsT], data: Mapping[str, Any], place: str, *, strict: bool = False
) -> SettingsT:
    """Build settings from plain data.

    Args:
        settings: the class that declares the fields.
        data: values by field name, from a file or from options.
        place: where the data stands, the first words of an error ("studies/x.yaml: model").
        strict: whether a value must have the type of its field; otherwise "3" and 3.0 are accepted for 3.

    Raises:
        ConfigError: the data breaks a rule; the message has a line for each broken one.
    """
    try:
        return settings.model_validate(data, strict=strict or None)
    except ValidationError as error:
        lines = [_explain(detail, settings) for detail in error.errors()]
        raise ConfigError("\n".join(f"{place}: {line}" for line in lines)) from None


def guess(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelled name: the most similar known name, or all of them if none is similar."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names) or 'none'}."


def known_names(word: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name of something: what is meant, and up to a dozen known names, similar ones first.

    Args:
        word: the name as it was typed.
        known: all known names.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=MOST_NAMES)
    ordered = near + [name for name in names if name not in near]
    num_more = len(ordered) - MOST_NAMES
    more = f" and {num_more} more" if num_more > 0 else ""
    first, *others = ordered[:MOST_NAMES] or ["none"]
    if not near:
        return f"Known: {', '.join((first, *others))}{more}."
    hint = f"Did you mean {first}?"
    return f"{hint} Also known: {', '.join(others)}{more}." if others else hint


def _explain(detail: Any, settings: type[Settings]) -> str:
    """Return one pydantic error as a line: the field, the rule, and the value that breaks it."""
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        *parents, key = detail["loc"]
        return f"unknown key {name}. {guess(str(key), _fields(settings, parents))}"
    if detail["type"] == "missing":
        return f"{name} is required."
    rule = detail["msg"].removeprefix("Value error, ")
    if not name:
        return f"{rule}."
    rule = re.sub(r"^Input should be", "must be", rule)
    return f"{name} {rule}, got {redacted_value(detail['input'])!r}."


def _fields(settings: type[Settings], parents: Iterable[Any]) -> list[str]:
    """Return the field names of the settings class at the path `parents` inside `settings`."""
    for part in parents:
        field = settings.model_fields.get(str(part))
        inner = getattr(field, "annotation", None)
        # The keys of a union, a list or a plain value are not known.
        if not (isinstance(inner, type) and issubclass(inner, Settings)):
            return []
        settings = inner
    return [field.alias or name for name, field in settings.model_fields.items()]


class _Representer(SafeRepresenter):
    """Quotes text that holds line ends of Unicode: without quotes they would be read back as spaces."""

    def represent_str(self, data: str) -> ScalarNode:
        has_line_ends = re.search("[\x85\u2028\u2029]", data)
        style = '"' if has_line_ends else None  # in double quotes they are escaped
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(str, _Representer.represent_str)


def _yaml() -> YAML:
    """Return a reader and writer of YAML 1.2: 1e-3 is a number, 020 is 20, yes is a text, and keys are unique."""
    # Of type Any, since its own annotations say that its switches are always None.
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    return yaml


def read_yaml(path: Path, *, may_be_empty: bool = False) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file.
        may_be_empty: whether a file that is empty or has only comments counts as an empty mapping.

    Raises:
        ConfigError: the file is missing, is not YAML, is not a mapping, or is too large or too deep; the message has
            the file and, where it is known, the line.
    """
    try:
        data = _yaml().load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: must be UTF-8 text.") from None
    except YAMLError as error:
        raise ConfigError(f"{path}{_yaml_problem(error)}.") from None
    except ValueError as error:  # a date that does not exist
        raise ConfigError(f"{path}: is not valid YAML: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{path}: {SMALL_RULE}.") from None
    if data is None and may_be_empty:
        return {}
    if not _is_small(data):
        raise ConfigError(f"{path}: {SMALL_RULE}.")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a YAML mapping, got {type(data).__name__}.")
    return data


def _yaml_problem(error: YAMLError) -> str:
    """Return where a file is not valid YAML, and why, to go behind its path."""
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", error)
    # The error's own message on a repeated key also has the value, which may be a secret.
    if isinstance(error, DuplicateKeyError):
        key = re.search('key "(.*?)"', str(problem), re.DOTALL)
        problem = f"{key[1]} is given twice" if key else "is given twice"
    return f"{line}: is not valid YAML: {problem}"


def read_value(text: str) -> Any:
    """Return what a word would be in a YAML file, such as a number or a bool; text that is not YAML stays text."""
    try:
        return _yaml().load(text)
    except (YAMLError, ValueError, RecursionError):
        return text


def _is_small(data: Any) -> bool:
    """Return whether plain data is within MAX_DEPTH and MAX_VALUES, with aliases counted as often as they are used."""
    level = [data]
    count = 0
    # Level by level, and never more than MAX_VALUES of one: a bomb of aliases is not unfolded.
    for _ in range(MAX_DEPTH):
        level = list(itertools.islice(_inner_values(level), MAX_VALUES))
        count += len(level)
        if not level or count >= MAX_VALUES:
            return not level
    return False


def _inner_values(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the values inside of mappings and lists."""
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one flat mapping with dotted names: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def write_yaml(data: Mapping[str, Any]) -> str:
    """Return plain data as YAML text from which `read_yaml` restores it unchanged."""
    text = io.StringIO()
    _yaml().dump(dict(data), text)
    return text.getvalue()


def overridden(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the values of `overrides` in place of their own; mappings that both have are merged."""
    merged = dict(settings)
    for key, value in overrides.items():
        own = settings.get(key)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            merged[key] = overridden(own, value)
        else:
            merged[key] = value
    return merged

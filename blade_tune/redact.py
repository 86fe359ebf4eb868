"""What may be shown to people and written to files: text without a secret of a URL.

The one place that knows where a URL has its secrets. It errs on the safe side: of a URL that nobody can read for sure,
it hides more than the secret.
"""

import re
from collections.abc import Mapping
from typing import Any

from blade_tune.printable import printable_lines

HIDDEN = "***"

_END = r"(?=[]:,;.)'\"]*(?:\s|$))"  # what closes a word is none of it
_URL = re.compile(rf"[A-Za-z][\w+.-]*://\S+?{_END}")
_SECRET_OPTION = re.compile(r"([?&;][\w.%-]*(?:pass|pwd|secret|token|credential|key)[\w.%-]*=)(.*)", re.I | re.S)
_ASSIGNMENT = re.compile(rf"(\w*(?:password|passwd|secret)\s*=\s*)('[^']*'|\"[^\"]*\"|\S+?{_END})", re.I)


def redacted_url(url: str) -> str:
    """A URL without its secrets, whether or not it is well formed.

    In front of the host all is hidden between the first `:` and the last `@`, since an unescaped `@` may be part of a
    password. Of the options, all is hidden from the first secret one's value on, since an unescaped `&` may be part of
    it.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return _ASSIGNMENT.sub(_hide_value, url)
    options = ""
    if secret := _SECRET_OPTION.search(rest):
        rest, options = rest[: secret.start()], f"{secret[1]}{HIDDEN}"
        if "@" in secret[2] and "@" not in rest:  # perhaps all of it is a password
            rest = re.sub(r":.*", f":{HIDDEN}", rest, flags=re.S)
    before, at, host = rest.rpartition("@")
    if at and not scheme.lower().startswith("sqlite"):  # whose files may be called anything
        user, colon, _ = before.partition(":")
        rest = f"{user}{colon}{HIDDEN if colon else ''}@{host}"
    return f"{scheme}://{rest}{options}"


def redacted(text: str) -> str:
    """A text in which URLs and assignments have no secrets and control characters are written as escapes."""
    parts = _URL.split(text)
    shown = [_ASSIGNMENT.sub(_hide_value, parts[0])]
    for url, after in zip(_URL.findall(text), parts[1:], strict=True):
        shown += [redacted_url(url), _ASSIGNMENT.sub(_hide_value, after)]
    return printable_lines("".join(shown))


def redacted_value(value: Any) -> Any:
    """A plain value, such as a settings file has, without secrets in any of its texts."""
    if isinstance(value, str):
        return redacted_url(value) if "://" in value else _ASSIGNMENT.sub(_hide_value, value)
    if isinstance(value, Mapping):
        return {redacted_value(key): redacted_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redacted_value(inner) for inner in value)
    return value


def _hide_value(found: re.Match[str]) -> str:
    return f"{found[1]}{HIDDEN}"

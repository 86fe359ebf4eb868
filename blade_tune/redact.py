"""Redaction of the secrets of URLs from text that is shown to people or written to files.

This is the only module that knows where a URL has its secrets. It errs on the safe side: of a URL that can be read in
more than one way, it hides more than the secret.
"""

import re
from collections.abc import Mapping
from typing import Any

from blade_tune.printable import printable_lines

HIDDEN = "***"

# Punctuation that ends a word is no part of the URL in front of it.
_END = r"(?=[]:,;.)'\"]*(?:\s|$))"
_URL = re.compile(rf"[A-Za-z][\w+.-]*://\S+?{_END}")
_SECRET_OPTION = re.compile(
    r"([?&;][\w.%-]*(?:pass|pwd|secret|token|credential|key)[\w.%-]*=)(.*)", re.I | re.S
)
_ASSIGNMENT = re.compile(
    rf"(\w*(?:password|passwd|secret)\s*=\s*)('[^']*'|\"[^\"]*\"|\S+?{_END})", re.I
)


def redacted_url(url: str) -> str:
    """Return a URL without its secrets, whether or not it is well formed.

    In front of the host, everything between the first `:` and the last `@` is hidden, since an unescaped `@` may be
    part of a password. In the options, everything from the value of the first secret option on is hidden, since an
    unescaped `&` may be part of that value.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return _ASSIGNMENT.sub(_hide_value, url)
    # The options, from the first secret one on
    options = ""
    secret = _SECRET_OPTION.search(rest)
    if secret:
        rest = rest[: secret.start()]
        options = f"{secret[1]}{HIDDEN}"
        # Perhaps the "option" is part of a password in front of the host.
        if "@" in secret[2] and "@" not in rest:
            rest = re.sub(r":.*", f":{HIDDEN}", rest, flags=re.S)
    # The password in front of the host. SQLite's URLs have no host, and the name of a file may hold an @.
    user_info, at, host = rest.rpartition("@")
    if at and not scheme.lower().startswith("sqlite"):
        user, colon, _ = user_info.partition(":")
        password = HIDDEN if colon else ""
        rest = f"{user}{colon}{password}@{host}"
    return f"{scheme}://{rest}{options}"


def redacted(text: str) -> str:
    """Return a text without the secrets of its URLs and assignments, and with control characters as escapes."""
    before, *others = _URL.split(text)
    shown = [_ASSIGNMENT.sub(_hide_value, before)]
    for url, after in zip(_URL.findall(text), others, strict=True):
        shown.append(redacted_url(url))
        shown.append(_ASSIGNMENT.sub(_hide_value, after))
    return printable_lines("".join(shown))


def redacted_value(value: Any) -> Any:
    """Return a plain value, such as a settings file holds, without secrets in any of its texts."""
    if isinstance(value, str):
        return redacted_url(value) if "://" in value else _ASSIGNMENT.sub(_hide_value, value)
    if isinstance(value, Mapping):
        return {redacted_value(key): redacted_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redacted_value(inner) for inner in value)
    return value


def _hide_value(assignment: re.Match[str]) -> str:
    return f"{assignment[1]}{HIDDEN}"

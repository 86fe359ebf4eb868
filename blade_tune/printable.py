"""Escaping of control characters in text from outside, such as names and ids, before it is printed or put on a page."""

import unicodedata

# Unicode categories: controls (C1 too); format characters, as marks of direction; lone surrogates; line ends.
STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    r"""Return text with escapes such as \x9b and \u202e for characters that steer a terminal or reverse its direction.

    Line ends and tabs are escaped too. Visible characters of every language are left as they are.
    """
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def printable_lines(text: str) -> str:
    """Return a message with escapes for all characters that steer a terminal, except its line ends."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(mark: str) -> str:
    """Return a character unchanged, or as an escape if it steers."""
    if unicodedata.category(mark) not in STEERING:
        return mark
    return mark.encode("unicode_escape", "surrogatepass").decode("ascii")

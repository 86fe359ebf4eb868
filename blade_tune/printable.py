"""Text of others on a terminal or a page: names, ids and messages that may hold characters without a shape."""

import unicodedata

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, C1 ones too; marks of direction; lone surrogates; ends of lines


def printable(text: str) -> str:
    r"""Text whose characters that steer a terminal or turn its direction around stand as codes: \x9b, \u202e.

    Line ends and tabs are such characters too. What has a shape is left as it is, in every language.
    """
    if text.isprintable():
        return text
    return "".join(_code(mark) if unicodedata.category(mark) in STEERING else mark for mark in text)


def printable_lines(text: str) -> str:
    """The same for a message, whose line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def _code(mark: str) -> str:
    return mark.encode("unicode_escape", "surrogatepass").decode("ascii")

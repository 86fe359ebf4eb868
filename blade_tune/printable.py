"""Text of others on a terminal or a page: names, ids and messages that may hold characters without a shape."""


def printable(text: str) -> str:
    r"""Text whose control characters, C1 ones and those that turn its direction around stand as codes: \x9b, \u202e.

    Line ends and tabs are such characters too. What has a shape is left as it is, in every language.
    """
    return "".join(character if character.isprintable() else _code(character) for character in text)


def printable_lines(text: str) -> str:
    """The same for a message, whose line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def _code(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

"""Escaping of user text for Markdown and LaTeX, so that it is shown as it was written, on one line."""

import re

# Characters that are markup in Markdown; _ is none within a word
MARKDOWN_MARKS = re.compile(r"([\\`*{}\[\]<>|#~$]|(?<!\w)_|_(?!\w))")
GREEK = (  # in the order of Unicode
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi mathrm{o} pi rho varsigma sigma tau "
    "upsilon phi chi psi omega"
)
ALPHA = ord("\N{GREEK SMALL LETTER ALPHA}")
LATEX = {
    **{mark: rf"\{mark}" for mark in "{}$&#_%"},
    **{mark: f"${mark}$" for mark in "<>|"},
    # Without braces, LaTeX reads these as options where they follow the end of a row.
    **{mark: f"{{{mark}}}" for mark in "[]*"},
    "-": "-{}",  # two of them would be a dash
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{LEFT SINGLE QUOTATION MARK}": "`{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{DAGGER}": r"\dag{}",
    "\N{DOUBLE DAGGER}": r"\ddag{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\le$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\ge$",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
    "\N{GREEK CAPITAL LETTER DELTA}": r"$\Delta$",
    **{chr(code): rf"$\{name}$" for code, name in enumerate(GREEK.split(), start=ALPHA)},
}
LATEX_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")


def one_line(text: str) -> str:
    """Return text in which line ends and other unprintable characters are replaced by single spaces."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows unchanged, also in a table."""
    return MARKDOWN_MARKS.sub(r"\\\1", one_line(text).replace("&", "&amp;"))


def escape_latex(text: str) -> str:
    """Return text that pdfLaTeX sets unchanged without any package; a letter it lacks becomes its code, as U+4E2D."""
    return "".join(map(_latex, one_line(text)))


def _latex(character: str) -> str:
    if character in LATEX:
        return LATEX[character]
    if character.isascii() or character in LATEX_LETTERS:
        return character
    return f"U+{ord(character):04X}"

"""Sphinx extension for pages that are written for a forge too, and for text that is made when the site is built.

Two blocks are replaced before a page is read, so that what takes their place is checked like any other text:

- `{repository-file} README.md` by that file of the repository's root,
- `{reference} commands` by what a function of `reference.WRITERS` makes of the code.

Links stand as a forge has them, relative to the file that they are written in. One to a file that a page shows leads to
that page; one to any other file outside of docs/ gives the file.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import reference
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

BLOCK = re.compile(r"^```\{(repository-file|reference)\} (\S+)\n```$", re.MULTILINE)
# Code, which has no links, or the target of a link or a picture
CODE_OR_TARGET = re.compile(
    r"^(?P<fence>```+).*?^(?P=fence)$|`[^`]*`|(?<=\]\()(?P<target>[^)\s]+)(?=\))",
    re.MULTILINE | re.DOTALL,
)
URL = re.compile(r"[a-z]+:|#")


def pages_of_files(docs: Path) -> dict[Path, Path]:
    """Return which page shows which file of the repository's root.

    Args:
        docs: the folder of pages.
    """
    shown = {}
    for page in sorted(docs.rglob("*.md")):
        for kind, name in BLOCK.findall(page.read_text(encoding="utf-8")):
            if kind == "repository-file":
                shown[docs.parent / name] = page
    return shown


def moved(text: str, source: Path, page: Path, shown: Mapping[Path, Path]) -> str:
    """Return Markdown with its links as they must be on a page of the site.

    Args:
        text: the Markdown.
        source: the file that it stands in.
        page: the page that shows it, which is `source` itself for a page of docs/.
        shown: file of the repository -> the page that shows it.
    """
    docs = next(folder for folder in page.parents if (folder / "conf.py").is_file())

    def place(found: re.Match[str]) -> str:
        target = found["target"]
        if target is None or URL.match(target):
            return found[0]
        name, mark, anchor = target.partition("#")
        file = Path(os.path.normpath(source.parent / name))
        file = shown.get(file, file)
        link = f"{os.path.relpath(file, page.parent)}{mark}{anchor}"
        return link if file.is_relative_to(docs) else f"path:{link}"

    return CODE_OR_TARGET.sub(place, text)


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Replace a page's blocks, and move its links; for the event `source-read`."""
    page = Path(app.env.doc2path(docname))
    docs = Path(app.srcdir)
    shown = pages_of_files(docs)

    def made(block: re.Match[str]) -> str:
        kind, name = block.groups()
        if kind == "repository-file":
            file = docs.parent / name
            app.env.note_dependency(str(file))
            return moved(file.read_text(encoding="utf-8"), file, page, shown)
        if name not in reference.WRITERS:
            known = ", ".join(reference.WRITERS)
            raise ExtensionError(f"{page}: no reference {name}. Known: {known}.")
        app.env.note_reread()  # the code may have changed, which no file of docs/ tells
        return reference.WRITERS[name]()

    content[0] = BLOCK.sub(made, moved(content[0], page, page, shown))


def set_dashes(_: Sphinx, document: nodes.document) -> None:
    """Replace the two hyphens that autodoc sets behind the name of an argument, for the event `doctree-read`."""
    for field in document.findall(nodes.field):
        for text in field.findall(nodes.Text):
            if str(text) == " -- ":
                text.parent.replace(text, nodes.Text(": "))


def setup(app: Sphinx) -> dict[str, Any]:
    """Have every page changed before it is read."""
    app.connect("source-read", read)
    app.connect("doctree-read", set_dashes)
    return {"parallel_read_safe": True}

"""Writes the list of modules in docs/architecture.md anew, a line a module, from the first lines of their docstrings.

Run it after a module was added, moved or described otherwise: `python docs/tree.py`. A test compares the two.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "blade_tune"
PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"(<!-- tree -->\n).*?(<!-- end of tree -->)", re.DOTALL)


def tree(folder: Path = PACKAGE, depth: int = 0) -> Iterator[str]:
    """Yield a line a module and a folder, folders after the modules beside them."""
    indent = "  " * depth
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("__"):
            yield f"{indent}- `{path.name}`: {_first_line(path)}"
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield f"{indent}- **`{inner.name}/`**: {_first_line(inner / '__init__.py')}"
        yield from tree(inner, depth + 1)


def written() -> str:
    """Return the page with the tree as the package is now."""
    lines = "\n".join(tree())
    return BLOCK.sub(
        lambda found: f"{found[1]}{lines}\n{found[2]}", PAGE.read_text(encoding="utf-8")
    )


def _first_line(path: Path) -> str:
    text = (
        (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        .split("\n\n")[0]
        .splitlines()
    )
    return " ".join(text).rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")

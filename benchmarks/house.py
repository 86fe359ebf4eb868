"""How dense the code is: sizes, tokens a line, comments, docstrings, of the checkout or of other commits.

    python benchmarks/house.py [COMMIT ...]

The figures of docs/architecture.md. A token is one of Python's own, without line ends, indents and comments.
Docstrings are no code.
"""

import ast
import io
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).parents[1]
NO_TOKENS = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
    tokenize.ENDMARKER,
}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def sources(commit: str | None) -> list[str]:
    """Return the text of each module of the package, as it is here or at a commit."""
    if commit is None:
        return [
            path.read_text(encoding="utf-8") for path in sorted((ROOT / "blade_tune").rglob("*.py"))
        ]
    names = git("ls-tree", "-r", "--name-only", commit, "blade_tune").splitlines()
    return [git("show", f"{commit}:{name}") for name in names if name.endswith(".py")]


def git(*words: str) -> str:
    """Return what git prints."""
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def docstrings(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line of every docstring."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
        ):
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first.lineno, first.end_lineno or first.lineno


def measured(texts: list[str]) -> dict[str, str]:
    """Return the figures of a package by name."""
    lengths = [len(text.splitlines()) for text in texts]
    code = tokens = comments = comprehensions = long = public = documented = sectioned = 0
    for text in texts:
        tree = ast.parse(text)
        in_docstring = {line for first, last in docstrings(tree) for line in range(first, last + 1)}
        found = [
            t
            for t in tokenize.generate_tokens(io.StringIO(text).readline)
            if t.start[0] not in in_docstring
        ]
        real = [token for token in found if token.type not in NO_TOKENS]
        code += len({line for token in real for line in range(token.start[0], token.end[0] + 1)})
        tokens += len(real)
        comments += sum(token.type == tokenize.COMMENT for token in found)
        for node in ast.walk(tree):
            comprehensions += isinstance(node, COMPREHENSIONS)
            if isinstance(node, FUNCTIONS):
                long += (node.end_lineno or node.lineno) - node.lineno + 1 > 60
                if not node.name.startswith("_"):
                    words = ast.get_docstring(node) or ""
                    public += 1
                    documented += bool(words)
                    sectioned += any(
                        section in words for section in ("Args:", "Returns:", "Raises:", "Yields:")
                    )
    return {
        "files": f"{len(texts)}",
        "lines of a file, median / longest": f"{statistics.median(lengths):.0f} / {max(lengths)}",
        "functions over 60 lines": f"{long}",
        "tokens a line of code": f"{tokens / code:.1f}",
        "comprehensions per 1,000 lines of code": f"{1000 * comprehensions / code:.0f}",
        "comments per 100 lines of code": f"{100 * comments / code:.1f}",
        "public functions with a docstring": f"{100 * documented / public:.0f}%",
        "of them with Args, Returns, Raises or Yields": f"{100 * sectioned / public:.0f}%",
    }


def main() -> None:
    """Print a table, a column a commit, the checkout last."""
    columns = {commit: measured(sources(commit)) for commit in sys.argv[1:]} | {
        "now": measured(sources(None))
    }
    rows = [[name, *(figures[name] for figures in columns.values())] for name in columns["now"]]
    print(tabulate(rows, headers=["", *columns], tablefmt="github"))


if __name__ == "__main__":
    main()

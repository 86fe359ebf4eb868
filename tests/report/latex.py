"""LaTeX as a paper would compile it."""

import shutil
import subprocess
from pathlib import Path

import pytest


def compile_latex(folder: Path, body: str) -> None:
    """Compile a document of tables; a missing character is an error, a missing program a skip."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex on this machine")
    document = (
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n%s\\end{document}\n"
    )
    (folder / "paper.tex").write_text(document % body, encoding="utf-8")
    words = [program, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    ended = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert "Missing character" not in (folder / "paper.log").read_text(errors="replace")

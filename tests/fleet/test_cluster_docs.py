"""What docs/clusters.md shows for copying is well-formed."""

import re
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

CLUSTERS = Path(__file__).parents[2] / "docs" / "clusters.md"


# docs/clusters.md


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", CLUSTERS.read_text(), re.DOTALL | re.MULTILINE
    )


def test_the_yaml_of_the_docs_is_yaml():
    """Every manifest parses, and has a kind."""
    documents = [
        document
        for block in blocks("yaml")
        for document in YAML(typ="safe", pure=True).load_all(block)
    ]
    assert {document["kind"] for document in documents} >= {"Job"}


def test_the_shell_of_the_docs_is_shell():
    """Every script and command line parses."""
    for block in blocks("sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)

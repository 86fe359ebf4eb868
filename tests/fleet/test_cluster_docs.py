"""What docs/clusters.md shows for copying is well-formed."""

import subprocess

from ruamel.yaml import YAML

from tests.blocks import blocks_of, words


def test_the_yaml_of_the_docs_is_yaml():
    """Every manifest parses, and has a kind."""
    manifests = words("docs/clusters.md", "kubernetes")
    documents = list(YAML(typ="safe", pure=True).load_all(manifests))
    assert {document["kind"] for document in documents} >= {"Job"}


def test_the_shell_of_the_docs_is_shell():
    """Every script and command line parses, those that no test runs too."""
    for block in blocks_of("docs/clusters.md"):
        if block.language == "sh":
            subprocess.run(["bash", "-n"], input=block.words, text=True, check=True)

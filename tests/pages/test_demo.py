"""README's first walk, and what docs/python.md and docs/selection.md go on with."""

import json
from pathlib import Path

import pytest

from blade_tune.report import serving
from tests.blocks import blocks, words
from tests.cli.program import do
from tests.pages.small import CLICKS, SPACES, made_up, write_study
from tests.shell import type_in, type_in_python

PART = {"w/o sets": {"model.read_sets": False}}
SPACE = {
    "model": {
        **SPACES["blade"],
        "alpha": {"float": [0.0, 1.0], "step": 0.1},
        "lambda_": {"float": [0.01, 1.0], "log": True},
    }
}


class Glance(serving._Server):
    """A dashboard on any free port, which Ctrl-C ends at once."""

    def __init__(self, host: str, _: int) -> None:
        super().__init__(host, 0)

    def serve_forever(self, *_: object, **__: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_the_demo_from_its_first_trial_to_its_effects(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command does its part, on a demo of trials that take a tenth of a second, and of a model with one part."""
    monkeypatch.setattr(serving, "_Server", Glance)
    monkeypatch.setattr("blade_tune.models.blade.model.Blade.ablations", PART)
    data = made_up("demo", CLICKS, long_tail=["share", "follow"])
    write_study(work, "demo", data, space=SPACE, search={"trials": 20, "pruner": {"kind": "none"}})
    # An environment that is active already
    (work / ".venv" / "bin").mkdir(parents=True)
    (work / ".venv" / "bin" / "activate").touch()

    said = type_in(words("README.md", "first walk"), work)
    assert "/dashboard/ (Ctrl-C ends it)" in said.stderr
    assert "evaluated 1 times; the ledger is whole" in said.stdout
    demo = work / "results" / "demo"
    assert (demo / "report" / "report.html").is_file()
    assert (demo / "best" / "weights.safetensors").is_file()

    [names, study] = blocks("docs/python.md", "study")
    notebook = type_in_python(names.words, work)
    type_in_python(study.words, work, notebook)
    assert f"# {notebook['study']!r}\n" in study.words
    assert len(notebook["study"].trials()) == 20

    type_in(words("docs/selection.md", "effects"), work)
    effects = {path.name for path in (demo / "effects").iterdir()}
    assert effects >= {"ablation.md", "ablation, tuned, test.md", "model.lambda_.md"}

    type_in(words("docs/selection.md", "winner"), work)
    metrics = json.loads((demo / "best" / "provenance.json").read_text())
    assert metrics["rule"] == "confirmed"
    assert len(json.loads(do(work, "ledger --study demo -f json").out)) > 5

"""The section on test rows: there only after an export, and only with figures that the ledger vouches for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from blade_tune.files import sha256
from blade_tune.report.exported_figures import read_exported
from blade_tune.study.stored import StoredStudy
from tests.report import made_up
from tests.report.test_page import copy_of_attributes, report

FACTS = {
    "test": {"ndcg@10": 0.2123, "hr@10": 0.3456},
    "test_intervals": {"ndcg@10": [0.2001, 0.2245], "hr@10": [None, None]},
    "test_users": 600,
    "baselines": {"popularity": {"ndcg@10": 0.0777}, "item_knn": {"ndcg@10": 0.0999}},
    "verdict": {"words": "above item_knn: +0.1124 (+0.1002 to +0.1246)"},
    "told": "is told the behavior set of the item to predict, or its label",
}


@pytest.fixture
def stored(searched: StoredStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredStudy:
    """A study in a results folder of its own, whose test rows nobody opened."""
    own = replace(searched, folder=replace(searched.folder, results=tmp_path))
    own = made_up.in_memory(searched.trials, own)
    copy_of_attributes(searched, own)
    monkeypatch.setattr(StoredStudy, "attempts", searched.attempts)
    return own


def export(stored: StoredStudy, **changed: object) -> None:
    """A line of the ledger, and a bundle of trial 7 as far as the page reads it."""
    entry = {"study": "tiny", "trial": 7, "command": "export-best", "when": "2026-01-01"}
    stored.ledger.append(entry)
    folder = stored.folder.best
    folder.mkdir(parents=True)
    provenance = {"study": "tiny", "trial": 7, "ledger": {"lines": 1}, **changed}
    for name, content in (("metrics.json", FACTS), ("provenance.json", provenance)):
        (folder / name).write_text(json.dumps(content))
    files = {path.name: sha256(path) for path in folder.iterdir()}
    (folder / "checksums.json").write_text(json.dumps({"files": files}))


def test_before_an_export_there_is_no_figure_of_test_rows(stored, tmp_path):
    """Neither a section nor a number at the head."""
    page = report(stored, tmp_path / "out")
    assert "on-test-rows" not in page.ids
    assert "test NDCG@10" not in page.text


def test_after_an_export_the_page_has_the_model_s_test_figures(stored, tmp_path):
    """With interval, untuned baselines, verdict and the number of openings; a metric without an interval has none."""
    export(stored)
    text = report(stored, tmp_path / "out").text
    for words in (
        "test NDCG@10 0.2123 trial 7, exported, 0.2001 to 0.2245",
        "NDCG@10 0.2123 0.2001 to 0.2245 0.0777 0.0999",
        "HR@10 0.3456",
        "600 users, which had no part in any choice. The test rows were opened once, for these figures.",
        "It is above item_knn: +0.1124 (+0.1002 to +0.1246), 95%, on these rows.",
        "The model is told the behavior set",
    ):
        assert words in text
    stored.ledger.append({"study": "tiny", "trial": 7, "command": "confirm --test", "when": "2026"})
    assert "opened 2 times in all" in report(stored, tmp_path / "again").text


@pytest.mark.parametrize("changed", [{"study": "other"}, {"trial": 8}, {"ledger": {"lines": 2}}])
def test_a_bundle_that_the_ledger_does_not_know_is_not_quoted(stored, tmp_path, changed):
    """Of another study, another trial or another line: the page says that there was an export, and no figure."""
    export(stored, **changed)
    text = report(stored, tmp_path / "out").text
    assert (
        "Trial 7 was exported, but its bundle is not in this study's folder, or was changed" in text
    )
    assert "0.2123" not in text


@pytest.mark.parametrize("damage", ["{", "[]", None, '{"test": {"ndcg@10": 0.9}}'])
def test_a_changed_bundle_is_not_quoted(stored, damage):
    """Whatever became of its figures after the export."""
    export(stored)
    path = stored.folder.best / "metrics.json"
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    assert read_exported(stored) is None

"""What a trial's row says is declared in one place: attributes, columns, what a continuation inherits, reasons."""

import re
from pathlib import Path

import optuna
import pytest

import blade_tune
from blade_tune.report.tables import brief, trial_rows
from blade_tune.storage.trial_record import (
    ATTRIBUTES,
    Attribute,
    EndReason,
    TrialRecord,
    attributes,
)
from tests import tiny

PACKAGE = Path(blade_tune.__file__).parent
OTHERS = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "trial_record.py"]


@pytest.fixture
def trial() -> optuna.Trial:
    return optuna.create_study().ask()


def test_what_is_written_is_read(trial: optuna.Trial) -> None:
    """By the name that the database has; what a row does not have is a default or a KeyError."""
    record = TrialRecord(trial)
    record.seed = 7
    record.metrics = {"ndcg@10": 0.1}
    assert trial.user_attrs == {"seed": 7, "valid.ndcg@10": 0.1}
    assert (record.seed, record.get(TrialRecord.seed), record.metrics) == (7, 7, {"ndcg@10": 0.1})
    assert (record.get(TrialRecord.tag), record.get(TrialRecord.tag, "none")) == (None, "none")
    assert (TrialRecord.seed in record, TrialRecord.tag in record) == (True, False)
    with pytest.raises(KeyError, match="tag"):
        _ = record.tag


def test_an_attribute_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError, match="sede"):
        attributes(sede=7)


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_else_reads_or_writes_attributes_of_a_trial(path: Path) -> None:
    """Each goes through `TrialRecord`, and no reason is a text of its own."""
    text = path.read_text()
    assert not re.search(
        r"(trial|row|run|best|latest|other)\w*\.(user_attrs|set_user_attr)\b", text
    )
    if path.relative_to(PACKAGE).parts[0] in ("study", "fleet", "selection"):
        assert not re.search(r'"(oom|nan|interrupted|lost|superseded)"', text)


def test_a_column_is_one_declaration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new attribute that is declared a column is one of `trials`, and of old rows an empty one."""
    tiny.run(tmp_path, search__trials=1)
    before = trial_rows(tiny.stored(tmp_path))[0]
    monkeypatch.setitem(ATTRIBUTES, "mood", Attribute[str](column=True, brief=True))
    (row,) = trial_rows(tiny.stored(tmp_path))
    assert row == {**before, "mood": None}
    assert "mood" in brief([row])[0]


def test_reasons_that_are_continued_are_those_of_attempts() -> None:
    assert {reason for reason in EndReason if reason.is_continued} == {
        "interrupted",
        "lost",
        "superseded",
    }


def test_the_docs_name_every_reason() -> None:
    docs = (PACKAGE.parent / "docs" / "studies.md").read_text()
    assert [reason for reason in EndReason if f"| {reason} |" not in docs] == []


def test_names_are_their_own() -> None:
    """The declaration's name is that of the database."""
    assert all(getattr(TrialRecord, name) is attribute for name, attribute in ATTRIBUTES.items())
    assert all(attribute.name == name for name, attribute in ATTRIBUTES.items())

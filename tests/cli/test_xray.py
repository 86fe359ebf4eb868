"""`data xray`: what it prints, what it keeps, and where else that is shown."""

import json
from pathlib import Path

import pytest

from blade_tune.report.dashboard import note
from blade_tune.report.page import write_report
from blade_tune.study.workspace import Workspace
from blade_tune.xray.verdict import NAMES
from tests.cli.program import call, write_study

FIELDS = {
    "verdict",
    "difference",
    "low",
    "high",
    "detectable",
    "users",
    "with_it",
    "without",
    "details",
}
VERDICTS = {"matters", "does not show", "too few users to tell"}


def test_json_has_a_key_for_each(tmp_path: Path) -> None:
    """Six findings, each with the same fields; figures that belong together."""
    made = call(
        "data",
        "synth",
        "--users",
        "200",
        "--items",
        "40",
        "--without",
        "order,recency",
        cwd=tmp_path,
    )
    assert made.code == 0, made.err
    ended = call("data", "xray", "--study", "synth", "-f", "json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    findings = json.loads(ended.out)
    assert tuple(findings) == NAMES
    for finding in findings.values():
        assert set(finding) == FIELDS
        assert finding["verdict"] in VERDICTS
        assert (finding["verdict"] == "matters") == (finding["low"] > 0)
        assert finding["low"] < finding["difference"] < finding["high"]
        assert finding["difference"] == pytest.approx(finding["with_it"] - finding["without"])
        assert 0 < finding["detectable"] <= 1
        assert 100 < finding["users"] <= 200
    assert findings["sets"]["details"]["against"] in ("items_alone", "shuffled_sets")
    assert findings["repeats"]["details"]["met_targets"] < 0.2


def test_it_tells_what_it_does_and_is_kept(tmp_path: Path) -> None:
    """A line a finding on stderr, then none, for it is kept; none with --quiet; the table is the same."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    first, again, quiet = (
        call("data", "xray", "--study", "tiny", *words, cwd=tmp_path)
        for words in ([], [], ["--quiet"])
    )
    assert first.code == again.code == quiet.code == 0
    assert len(first.err.splitlines()) == len(NAMES) + 1
    assert len(again.err.splitlines()) == 1
    assert quiet.err == ""
    assert first.out == again.out == quiet.out
    assert [line.split()[0] for line in first.out.splitlines()[1:]] == list(NAMES)
    assert (
        len(call("data", "xray", "--study", "tiny", "-f", "csv", cwd=tmp_path).out.splitlines())
        == len(NAMES) + 1
    )


def test_it_is_shown_where_the_data_is_described(finished_copy: Path) -> None:
    """`data stats`, the page and the dashboard's note have it once it was asked for, and nothing of it before."""
    results = finished_copy / "results"
    stored = Workspace.at(None, results).study("tiny")

    def shown() -> list[bool]:
        stats = call("data", "stats", "--study", "tiny", "-f", "json", cwd=finished_copy)
        write_report(stored, finished_copy / "report")
        page = (finished_copy / "report" / "report.html").read_text(encoding="utf-8")
        return [
            "xray" in json.loads(stats.out),
            *("What matters in the data" in text for text in (page, note(stored))),
        ]

    assert shown() == [False] * 3
    asked = call("data", "xray", "--study", "tiny", "-f", "json", cwd=finished_copy)
    assert asked.code == 0, asked.err
    assert shown() == [True] * 3
    stats = json.loads(
        call("data", "stats", "--study", "tiny", "-f", "json", cwd=finished_copy).out
    )
    assert stats["xray"] == {
        name: finding["verdict"] for name, finding in json.loads(asked.out).items()
    }
    assert f"| order {stats['xray']['order']}, recency " in note(stored)


@pytest.mark.parametrize(
    ("words", "law"),
    [
        (["data", "xray", "--study", "absent"], "no file absent.yaml"),
        (["data", "xray", "--study", "qk-video", "--data", "nowhere"], "nowhere"),
        (
            ["data", "synth", "--users", "20", "--items", "40", "--without", "sts"],
            "must be 'order', 'sets' or 'recency'",
        ),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, words: list[str], law: str) -> None:
    """One line, and nothing on stdout."""
    ended = call(*words, cwd=tmp_path)
    assert ended.code != 0
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert law in ended.err


def test_without_is_written_into_the_study(tmp_path: Path) -> None:
    """The study of a law that does without says so; that of a whole law has no such key."""
    for name, words in (("whole", []), ("less", ["--without", "order,sets"])):
        made = call(
            "data", "synth", "--users", "60", "--items", "40", "--name", name, *words, cwd=tmp_path
        )
        assert made.code == 0, made.err
        text = (tmp_path / "studies" / f"{name}.yaml").read_text()
        assert ("without:\n  - order\n  - sets\n" in text) == bool(words)
        assert ("without" in text) == bool(words)

"""The report: what it says, what it leaves out, and that it says no more than its numbers support."""

import copy
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from blade_tune.errors import RunsMissingError
from blade_tune.report import choice, section, tables
from blade_tune.report.page import write_report
from blade_tune.storage.attempts import Attempts
from blade_tune.storage.trials import ranked
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict
from tests import tiny
from tests.report import made_up
from tests.report.made_effects import made, varied
from tests.report.made_up import COMPLETE

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What a reader of a report sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.figures: list[dict] = []
        self._within: str | None = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.sources += [given[name] for name in ("src", "href") if name in given and tag != "a"]
        self._within = "json" if given.get("type") == "application/json" else tag

    def handle_endtag(self, tag):
        self._within = None if tag in ("script", "style") else self._within

    def handle_data(self, data):
        if self._within == "json":
            self.figures.append(json.loads(data))
        elif self._within not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(stored: StoredStudy, out: Path) -> Page:
    write_report(stored, out)
    return Page((out / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def confirmed(searched, monkeypatch):
    monkeypatch.setattr(section, "load_confirmation", lambda _: made_up.confirmation(searched))
    return searched


def test_the_page_stands_alone(searched, tmp_path):
    """It loads nothing: no source, no link but to its own headings, and a policy that forbids every request."""
    page = report(searched, tmp_path)
    assert page.sources == []
    assert {link.removeprefix("#") for link in page.links} == set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert html.count("plotly.js v") == 1


def test_the_page_has_every_figure_and_its_numbers(searched, tmp_path):
    """Nine figures under headings, and one for a talk; the headline has best, baselines, budget and openings."""
    page = report(searched, tmp_path)
    assert len(page.figures) == 9 + 1
    best = searched.study.best_trial
    for words in (
        f"{best.value:.4f}",
        "0.0800",
        "0.1000",
        "38 of 40",
        "never",
        "valid NDCG@10",
        "PED-ANOVA",
        "TPE",
    ):
        assert words in page.text


def test_the_page_says_when_the_baseline_was_passed(searched, tmp_path):
    """In the words of `status`."""
    words = tables.status(searched)["time_to_baseline"]["words"]
    assert words.startswith("item_knn's 0.1000 was first passed ")
    assert f"Time to baseline: {words}." in report(searched, tmp_path / "searched").text


def test_seconds_that_are_missing_leave_no_empty_section(searched, tmp_path):
    """Without any there is no figure over them, and no heading."""
    rows = copy.deepcopy(searched.trials)
    for row in rows:
        row.user_attrs.pop("clock", None)
    stored = made_up.in_memory(rows, searched)
    copy_of_attributes(searched, stored)
    page = report(stored, tmp_path)
    assert len(page.figures) == 8 + 1
    assert "learning-curves-over-time" not in page.ids


def test_an_unconfirmed_best_is_called_lucky(searched, tmp_path):
    """Without fresh seeds the page warns, with the number of trials, and says what to run."""
    text = report(searched, tmp_path).text
    assert "luckiest of 30 completed trials" in text
    assert "blade-tune confirm --study tiny" in text
    assert "Candidates" not in text


@pytest.mark.parametrize(
    ("difference", "said"),
    [(0.1, "It is above item_knn: +0.1000"), (0.001, "It is not above item_knn")],
)
def test_a_best_that_is_not_above_the_baseline_is_no_success(searched, tmp_path, difference, said):
    """The page says whether the best trial lies above the baseline, by an interval corrected for the search."""
    rows = copy.deepcopy(searched.trials)
    best = ranked(rows)[0]
    best.user_attrs["paired"] = {
        "baseline": "item_knn",
        "difference": difference,
        "error": 0.01,
        "users": 300,
    }
    stored = made_up.in_memory(rows, searched)
    copy_of_attributes(searched, stored)
    text = report(stored, tmp_path).text
    assert said in text
    assert ("untuned; the winner is not above it" in text) == ("not above" in said)
    assert "as the best of 30 completed trials" in text


def test_a_confirmed_winner_has_its_card(confirmed, tmp_path):
    """Mean and deviation over fresh seeds, the corrected interval, the inflation, the smaller one as good."""
    text = report(confirmed, tmp_path).text
    winner = made_up.confirmation().winner
    low, high = made_up.confirmation().winner_interval
    assert "Not confirmed" not in text
    mean = f"{winner.estimate.mean:.4f} ± {winner.estimate.sd:.4f}"
    for words in (
        mean,
        f"{low:.4f} to {high:.4f}",
        "too high by 0.0090",
        "Trial 20 is smaller or faster (500 parameters)",
        "to expect for other users, 95% 0.2215 (0.2102 to 0.2331)",
        "out of bag, the choice from 30 configurations made again on resampled users",
        "Confirmed 2 times: 2026-11-30 2 candidates on 3 seeds: trial 4 0.2290; 2026-12-01 3 candidates",
    ):
        assert words in text
    assert "It is above item_knn: +0.1310 (+0.1000 to +0.1500)" in text


def test_a_confirmed_winner_may_not_be_above(confirmed, tmp_path, monkeypatch):
    """Where the interval of the confirmed winner reaches down to the baseline the page says so."""
    low = replace(made_up.confirmation(confirmed), verdict=Verdict("item_knn", 0.01, -0.01, 0.03))
    monkeypatch.setattr(section, "load_confirmation", lambda _: low)
    assert (
        "It is not above item_knn: +0.0100 (-0.0100 to +0.0300)" in report(confirmed, tmp_path).text
    )


def test_effects_have_a_table_each(searched, tmp_path, monkeypatch):
    """An ablation or sweep is a table; one whose files are elsewhere is a warning, and the page is written."""

    def hits(share):
        """Of 100 users this share is hit at the first rank, one more on the second seed."""
        counts = (round(share * 100) + seed for seed in (0, 1))
        return np.array([[0] * count + [99] * (100 - count) for count in counts])

    changed = {"no <gate>": ({"model.gate": False}, hits(0.1))}
    found = made("ablation", hits(0.2), changed, groups={})
    tested = made("ablation, test", hits(0.2), changed, groups={}, part="test")
    points = [{"model.rho": rho, "model.fusion": "sum"} for rho in (0.1, 0.2)]
    varied_together = varied("model.fusion x model.rho", points, {"model.rho": 0.1})
    monkeypatch.setattr(choice, "load_effects", lambda _: [found, tested, varied_together])
    text = report(searched, tmp_path).text
    assert "no <gate> 0.1050 ± 0.0071" in text
    for title in ("Ablation", "Ablation, test", "Sweep of model.fusion x model.rho"):
        assert title in text

    def missing(_):
        raise RunsMissingError("ranks are elsewhere")

    monkeypatch.setattr(choice, "load_effects", missing)
    assert "ranks are elsewhere" in report(searched, tmp_path).text


def test_an_empty_study_has_a_page_without_figures(empty, tmp_path):
    """It has the winner that is not there, what it is, and no empty section; plotly is left out."""
    page = report(empty, tmp_path / "out")
    assert page.figures == []
    assert page.ids == ["the-winner", "identity"]
    assert "No trial has completed yet." in page.text
    assert (tmp_path / "out" / "report.html").stat().st_size < 100_000
    assert (tmp_path / "out" / "tables.md").read_text() == ""


@pytest.mark.parametrize("state", [*TrialState])
def test_one_trial_of_any_state_has_a_page(searched, tmp_path, state):
    """Whatever became of the only trial, the page is written and claims nothing of luck or importance."""
    done = next(t for t in searched.trials if t.state == COMPLETE)
    value = done.value if state == COMPLETE else None
    only = create_trial(
        state=state, value=value, params=done.params, distributions=done.distributions
    )
    stored = made_up.in_memory([only], searched)
    copy_of_attributes(searched, stored)
    text = report(stored, tmp_path).text
    assert "luckiest" not in text
    assert "Importances" not in text
    assert ("Fresh seeds tell" in text) == (state == COMPLETE)


def test_a_study_of_runs_has_a_page(searched, tmp_path):
    """Its trials have no parameters; parts about parameters are left out."""
    stored = made_up.given(25, searched)
    copy_of_attributes(searched, stored)
    page = report(stored, tmp_path)
    assert len(page.figures) == 5 + 1
    assert "Slices" not in page.text


def test_a_really_run_study_has_a_page(tmp_path):
    """As runs leave it: figures, the software that trained it, an exact budget."""
    tiny.run(tmp_path)
    page = report(tiny.stored(tmp_path), tmp_path / "report")
    assert "3 of 3" in page.text
    assert "torch" in page.text
    assert len(page.figures) >= 5


def test_the_same_study_has_the_same_files(confirmed, tmp_path):
    """Byte by byte, whenever they are written."""
    for name in ("one", "other"):
        report(confirmed, tmp_path / name)
    for name in ("report.html", "tables.md", "tables.tex"):
        one, other = ((tmp_path / place / name).read_bytes() for place in ("one", "other"))
        assert one == other


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path):
    """No order of sets or dictionaries is in a page: with other hashes of strings it is the same."""
    made_up.study(tmp_path / "results")
    pages = []
    for seed in ("1", "2"):
        words = ["report", "--study", "tiny", "--results", str(tmp_path / "results")]
        subprocess.run(
            [sys.executable, "-m", "blade_tune", *words, "--out", str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
        pages.append((tmp_path / seed / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_page_has_the_look_of_figures_once(searched, tmp_path):
    """Each figure is without its template, which the page has for light and for dark."""
    page = report(searched, tmp_path)
    assert all("template" not in figure["layout"] for figure in page.figures)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("const LOOK = ") == 1


def test_a_long_name_may_be_broken_in_a_table(searched, tmp_path):
    """After a point or an underscore, in headings and labels, and a number never."""
    report(searched, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "model.<wbr>num_<wbr>heads" in html
    assert "&lt;wbr&gt;" not in html
    assert not re.search(r"\d[.]<wbr>\d", html)


def test_user_text_is_only_text(searched, tmp_path):
    """Names and messages from outside add no tag and no script to the page."""
    done = next(t for t in searched.trials if t.state == COMPLETE)
    attrs = {**done.user_attrs, "reason": EVIL, "device": EVIL, "commit": EVIL, "versions": EVIL}
    failed = create_trial(
        state=TrialState.FAIL,
        params=done.params,
        distributions=done.distributions,
        user_attrs=attrs,
    )
    stored = made_up.in_memory([done, failed], searched)
    copy_of_attributes(searched, stored)
    stored.study.set_user_attr("fingerprint", {EVIL: EVIL})
    page = report(stored, tmp_path)
    assert EVIL in page.text
    assert "img" not in page.tags
    assert page.tags.count("script") == len(page.figures) + 2  # plotly, and what draws


def test_a_broken_ledger_is_shown_not_hidden(searched, tmp_path):
    """The page is written, says that the openings are unknown, and names the line."""
    stored = replace(searched, folder=replace(searched.folder, results=tmp_path))
    stored.folder.ledger.parent.mkdir()
    stored.folder.ledger.write_text("{}\n")
    text = report(stored, tmp_path / "report").text
    assert "the ledger is broken" in text
    assert "ledger.jsonl:1" in text


def test_openings_of_the_test_rows_are_listed(searched, tmp_path):
    """Each line of the ledger is a row, and the headline counts them."""
    stored = replace(searched, folder=replace(searched.folder, results=tmp_path))
    stored = made_up.in_memory(stored.trials, stored)
    copy_of_attributes(searched, stored)
    for command in ("export-best", "confirm --test"):
        stored.ledger.append(
            {"study": "tiny", "trial": 7, "command": command, "when": "2026-01-01"}
        )
    text = report(stored, tmp_path / "report").text
    assert "2 times" in text
    assert "confirm --test" in text


def test_tables_are_written_for_papers(confirmed, tmp_path):
    """Markdown and LaTeX have the same tables as the page, under the same captions."""
    page = report(confirmed, tmp_path)
    markdown, latex = (
        (tmp_path / name).read_text(encoding="utf-8") for name in ("tables.md", "tables.tex")
    )
    tables = page.tags.count("table")
    assert (
        f"\n{markdown}".count("\n## ")
        == latex.count(r"\begin{table}")
        == latex.count(r"\caption")
        == tables
        >= 5
    )


def copy_of_attributes(stored: StoredStudy, other: StoredStudy) -> None:
    """Give a study in memory what a report asks of the stored one, but for what it has itself."""
    for name, value in stored.study.user_attrs.items():
        if name not in other.study.user_attrs:
            other.study.set_user_attr(name, value)


@pytest.fixture(autouse=True)
def _database_knows_every_study(searched, monkeypatch):
    """Studies in memory share the stored one's attempts: none."""
    monkeypatch.setattr(StoredStudy, "attempts", Attempts(searched.storage, 0))

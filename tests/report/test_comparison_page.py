"""The page of a comparison: what stands on it with fifteen models, with a few, and with some that are missing."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from blade_tune.config import read_yaml
from blade_tune.report import comparison_figures, panel_figures, theme
from blade_tune.report.comparison_page import write_comparison_report
from blade_tune.report.configurations import enqueue_text
from blade_tune.selection.saturation import course
from blade_tune.study.stored import StoredStudy
from tests.report import made_up
from tests.report.made_comparison import FITTED, HITS, TOLD, MadeComparison, comparison
from tests.report.test_page import EVIL, Page
from tests.tiny import define

FEW = ("blade", "sasrec", "ials", "popularity")
TITLES = [
    "Overview",
    "Table",
    "Differences",
    "Cost and quality",
    "Best so far",
    "Learning curves",
    "Learning curves over time",
    "Groups of users",
    "What moves them",
    "Configurations",
    "How it was made",
]


def report(made: MadeComparison, out: Path) -> Page:
    write_comparison_report(made, out)  # type: ignore[arg-type]
    return Page((out / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def all_models(searched: StoredStudy) -> MadeComparison:
    """Every model, on both parts."""
    return comparison(searched)


@pytest.fixture
def few(searched: StoredStudy) -> MadeComparison:
    """Four models whose test rows nobody opened."""
    return replace(comparison(searched, FEW), is_tested=False)


def test_the_page_has_its_sections_in_order(few: MadeComparison, tmp_path: Path):
    """What a talk begins with comes first; it loads nothing, and each heading has an address of its own."""
    page = report(few, tmp_path)
    titles = [anchor.replace("-", " ") for anchor in page.ids]
    assert titles == [*(title.lower() for title in TITLES), "talk"]
    assert page.sources == []
    assert {link.removeprefix("#") for link in page.links} == set(page.ids)
    assert len(page.figures) == 7 + 1


def test_the_page_says_what_a_listener_asks_first(few: MadeComparison, tmp_path: Path):
    """The best of each kind, who differs, what can be found, what still rose, the protocol and the command."""
    text = report(few, tmp_path).text
    for words in (
        "blade is the best neural model with 0.1",
        "ials is the best classical model with 0.0",
        "differs from blade beyond chance (p < 0.05 after Holm's correction over 3 pairs)",
        "is found with less than 80% chance here",
        "protocol: loss ce",
        "blade-tune compare --study tiny --models all",
        "4 of 4 have a confirmed winner",
    ):
        assert words in text
    assert "on test rows" not in text


def test_the_same_comparison_has_the_same_files(few: MadeComparison, tmp_path: Path):
    """Byte by byte, whenever they are written."""
    for name in ("one", "other"):
        report(few, tmp_path / name)
    for name in ("report.html", "tables.md", "tables.tex"):
        one, other = ((tmp_path / place / name).read_bytes() for place in ("one", "other"))
        assert one == other


def test_what_is_missing_is_named(searched: StoredStudy, tmp_path: Path):
    """With how far it is and the command that goes on; of under two models there is a page without figures of them."""
    some = replace(comparison(searched, FEW, missing=("ials", "popularity")), is_tested=False)
    text = report(some, tmp_path / "some").text
    assert (
        "Not complete: 2 of 4 models have no confirmed winner yet "
        "(ials, popularity: 12 of 40 trials are scored)." in text
    )
    assert "P-values are corrected over the pairs that are here" in text

    class Nothing(MadeComparison):
        def on(self, part):
            """No comparison."""

    none = Nothing(some.found, dict.fromkeys(FEW, "not begun"))
    page = report(none, tmp_path / "none")
    assert "there is nothing to compare yet" in page.text
    assert "differences" not in page.ids
    assert "best-so-far" in page.ids  # searches are shown while they run


def test_test_rows_have_sections_of_their_own(searched: StoredStudy, tmp_path: Path):
    """Overview, table and differences a second time, and only there hollow marks of what papers published."""
    made = comparison(searched, FEW)
    page = report(made, tmp_path)
    assert {"overview-on-test-rows", "table-on-test-rows", "differences-on-test-rows"} <= {
        *page.ids
    }
    valid, test = (comparison_figures.overview(made.on(part)) for part in ("valid", "test"))
    published = [
        {trace.name for trace in figure.data if trace.name.startswith("published by ")}
        for figure in (valid, test)
    ]
    assert published[0] == set()
    assert "published by BLADE (AAAI 2026), Table 1" in published[1]


def test_the_overview_tells_classical_from_neural_models(all_models: MadeComparison):
    """Each model has one dot with its interval, the best on top; its kind has a color, a told one a shape too."""
    found = all_models.on("valid")
    figure = comparison_figures.overview(found)
    kinds = {trace.name: trace for trace in figure.data}
    assert set(kinds["classical"].y) == set(FITTED)
    assert set(kinds["neural, told of the next item †"].y) == set(TOLD)
    assert sum(len(trace.y) for trace in figure.data) == 15
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert kinds["neural, told of the next item †"].marker.symbol == "diamond"
    values = {y: x for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
    order = [values[label] for label in figure.layout.yaxis.categoryarray]
    assert order == sorted(order, reverse=True)
    lines = {note.text for note in figure.layout.annotations}
    assert lines == {"popularity, untuned 0.0520", "item_knn, untuned 0.0930"}


def test_each_search_and_each_neural_winner_has_a_panel(all_models: MadeComparison):
    """Its line stands before the gray ones of all others; the best so far ends where all was spent, at the best."""
    courses = {stored.label: course(stored) for stored in all_models.found}
    figure = panel_figures.searches(courses, "ndcg@10")
    assert {note.text for note in figure.layout.annotations} == set(HITS)
    own = [trace for trace in figure.data if trace.line.color == theme.BLUE]
    assert len(own) == 15
    for trace, found in zip(own, courses.values(), strict=True):
        assert trace.x[-1] == 1.0
        assert trace.y[-1] == pytest.approx(found.points[-1].best, abs=1e-5)
    neural = {m: c for m, c in all_models.confirmations.items() if m not in FITTED}
    curves = [panel_figures.curve_of(model, found) for model, found in neural.items()]
    for draw, last in ((panel_figures.over_epochs, 60), (panel_figures.over_seconds, 90)):
        lines = [t for t in draw(curves, "ndcg@10").data if t.line.color == theme.BLUE]
        assert len(lines) == len(neural) == 9
        assert all(trace.x[-1] == last for trace in lines)


def test_every_panel_has_the_untuned_baselines_of_its_model(all_models: MadeComparison):
    """As level lines from end to end, each named once in the legend."""
    courses = {stored.label: course(stored) for stored in all_models.found}
    untuned = {stored.label: stored.baseline_figures for stored in all_models.found}
    figure = panel_figures.searches(courses, "ndcg@10", untuned)
    lines = [trace for trace in figure.data if trace.line.color == theme.VERMILION]
    assert len(lines) == 15 * 2
    assert {trace.y for trace in lines} == {(0.08, 0.08), (0.1, 0.1)}
    named = [trace.name for trace in lines if trace.showlegend]
    assert named == ["popularity, untuned", "item_knn, untuned"]
    assert figure.layout.meta["grid"]["panels"] == 15


def test_a_mean_curve_ends_with_the_shortest_run():
    """After that it would be a mean of fewer runs; the runs themselves are drawn whole."""
    runs = [{1: 0.1, 2: 0.2, 3: 0.6}, {1: 0.3, 2: 0.4}]
    seconds = [{1: 1.0, 2: 2.0, 3: 3.0}, {1: 3.0, 2: 4.0}]
    curve = panel_figures.Curve("blade", runs, seconds)
    figure = panel_figures.over_epochs([curve], "ndcg@10")
    (mean,) = [trace for trace in figure.data if trace.line.color == theme.BLUE]
    (thin,) = [trace for trace in figure.data if trace.line.color == theme.SKY]
    assert (mean.x, mean.y) == ((1.0, 2.0), (0.2, 0.3))
    assert thin.y == (0.1, 0.2, 0.6, None, 0.3, 0.4)
    timed = panel_figures.over_seconds([curve], "ndcg@10")
    (mean,) = [trace for trace in timed.data if trace.line.color == theme.BLUE]
    assert mean.x == (2.0, 3.0)


@pytest.mark.parametrize("seed", range(20))
def test_an_enqueue_text_reads_back_to_the_same_configuration(
    searched: StoredStudy, tmp_path: Path, seed
):
    """In a study of the same length whose space is another one, every setting is the winner's."""
    values = {**searched.definition.space.fixed, **made_up.draw(random.Random(seed))}  # noqa: S311
    confirmed = made_up.confirmation(searched)
    first, *others = confirmed.candidates
    confirmed = replace(confirmed, candidates=(replace(first, values=values), *others))
    path = tmp_path / "part.yaml"
    path.write_text(enqueue_text(searched, confirmed), encoding="utf-8")
    definition = define(
        train__max_epochs=made_up.EPOCHS, train__eval_every=made_up.EVAL_EVERY, **read_yaml(path)
    )
    (entry,) = definition.enqueue
    assert entry.metadata["study"] == searched.definition.name
    whole = definition.given_whole(0) or {**definition.space.fixed, **definition.enqueued_params(0)}
    assert definition.complete(whole, "") == definition.complete(values, "")


def test_tables_are_written_for_papers(few: MadeComparison, tmp_path: Path):
    """Markdown and LaTeX have the same tables as the page."""
    page = report(few, tmp_path)
    markdown = (tmp_path / "tables.md").read_text(encoding="utf-8")
    latex = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    tables = page.tags.count("table")
    assert f"\n{markdown}".count("\n## ") == latex.count(r"\begin{table}") == tables >= 6


def test_user_text_is_only_text(few: MadeComparison, tmp_path: Path):
    """What a study file says of a configuration that is tried first adds no tag to the page."""
    first = few.found[0]
    definition = replace(first.definition, enqueue=define(enqueue=[{"tag": EVIL}]).enqueue)
    rows = [*first.trials]
    rows[0].user_attrs |= {"tag": EVIL, "metadata": {"source": EVIL}}
    stored = replace(made_up.in_memory(rows, first), definition=definition)
    for name, value in first.study.user_attrs.items():
        stored.study.set_user_attr(name, value)
    vars(stored)["attempts"] = first.attempts
    page = report(replace(few, found=(stored, *few.found[1:])), tmp_path)
    assert EVIL in page.text
    assert "img" not in page.tags
    assert json.dumps(page.figures).count("<img") == 0

"""Section of a report on the test rows, once `export-best` has opened them for the study's winner."""

from collections.abc import Iterator, Sequence

from blade_tune.errors import DataError
from blade_tune.report.exported_figures import Exported, exports
from blade_tune.report.section import Section, Study, interval, plural
from blade_tune.report.text_tables import Entry, Table

TITLE = "On test rows"


def test_rows(study: Study) -> Iterator[Section]:
    """Yield the section on what the exported model reaches on test rows; none before an export."""
    lines = exports(study.stored)
    if not lines:
        return
    opened = _opened(study)
    found = study.exported
    if found is None:
        elsewhere = (
            f"Trial {lines[-1]['trial']} was exported, but its bundle is not in this study's folder, or was changed, "
            "so that its test figures are not shown here."
        )
        yield Section(TITLE, [f"{elsewhere} {opened}"])
        return
    users = plural(found.facts["test_users"], "user")
    words = [
        f"Trial {found.trial}, trained again and exported, on the sealed test rows of {users}, which had no part in "
        f"any choice. {opened}"
    ]
    if found.words:
        words.append(f"It is {found.words}, 95%, on these rows.")
    yield Section(TITLE, words, table=_table(study, found))


def _opened(study: Study) -> str:
    """Return a sentence on how often the test rows were opened, and what that is worth."""
    try:
        count = len(study.stored.ledger.openings())
    except DataError:
        return ""
    if count == 1:
        return "The test rows were opened once, for these figures."
    return (
        f"The test rows were opened {count} times in all: what was decided after the first of them is not blind to "
        "them."
    )


def _table(study: Study, found: Exported) -> Table:
    """Return a table with a row a metric: what the model reaches, and what each untuned baseline reaches."""
    facts = found.facts
    rows: list[tuple[str, Sequence[Entry]]] = []
    for metric, value in facts["test"].items():
        low, high = facts["test_intervals"].get(metric, (None, None))
        untuned = [
            f"{figures[metric]:.4f}" if metric in figures else ""
            for figures in facts["baselines"].values()
        ]
        rows.append((metric.upper(), [f"{value:.4f}", interval(low, high), *untuned]))
    names = [f"{name}, untuned" for name in facts["baselines"]]
    columns = ("metric", f"trial {found.trial}", "95% interval", *names)
    notes = ["The interval is over users; another seed moves the figure too."]
    if told := facts.get("told"):
        notes.append(f"The model {told}.")
    return Table(columns, rows, f"Test figures of {study.name}.", notes)

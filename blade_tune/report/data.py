"""Section of a report on the data: what matters in it, if `data xray` was run."""

from collections.abc import Iterator

from blade_tune.report.section import Section, Study, interval
from blade_tune.report.text_tables import Table
from blade_tune.spec.definition import max_length
from blade_tune.study.stored import StoredStudy
from blade_tune.xray.measure import Findings, known_xray

COLUMNS = ("thing", "verdict", "with", "without", "difference", "interval", "could have seen")
NOTE = "The intervals hold together with 95%; a difference that could have been seen is found in four cases of five."


def findings(stored: StoredStudy) -> Findings | None:
    """Return what `data xray` found for the data and protocol of a study; None if it was not run."""
    definition = stored.definition
    window = max_length(definition, definition.space.fixed)
    data_hash = stored.study.user_attrs.get("fingerprint", {}).get("data", "")
    return known_xray(data_hash, definition.objective.exclude, window, stored.folder.results)


def xray(study: Study) -> Iterator[Section]:
    """Yield the section on what matters in the data, if `data xray` was run."""
    by_name = findings(study.stored)
    if by_name is None:
        return
    rows = []
    for name, finding in by_name.items():
        entries = (
            finding.verdict,
            f"{finding.with_it:.4f}",
            f"{finding.without:.4f}",
            f"{finding.difference:+.4f}",
            interval(finding.low, finding.high),
            f"{finding.detectable:.4f}",
        )
        rows.append((name, entries))
    words = [
        "What recommenders made of counts gain in NDCG@10 on the valid rows by using a thing, against the same without "
        "it. A neural model may see more; one that sees nothing of a thing loses nothing where it does not show."
    ]
    caption = f"What matters in the data of {study.name}, by counts alone."
    yield Section("What matters in the data", words, table=Table(COLUMNS, rows, caption, (NOTE,)))

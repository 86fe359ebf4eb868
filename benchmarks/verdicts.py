"""Verdicts on a paper's claims, from the tables that benchmarks/paper.py has written.

    python benchmarks/verdicts.py RESULTS/paper            # a Markdown table for each recipe
    python benchmarks/verdicts.py RESULTS/paper --source "BLADE (AAAI 2026), Table 1"

A claim is a difference that was published: one model above another (Table 1), or a model above itself without a part
(Table 3). It is *upheld* where the difference measured here has the same sign and is there beyond chance (p < .05 after
Holm), *refuted* where it has the other sign beyond chance, and else *undecidable at this power*. Test rows are read
where they were opened, else validation rows, on which winners were chosen.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEVEL = 0.05
BLADE = "BLADE (AAAI 2026), Table 1"
METRIC = "ndcg@10"
UPHELD, REFUTED, UNDECIDABLE = "upheld", "refuted", "undecidable at this power"


@dataclass(frozen=True)
class Measured:
    """A difference measured here, with its interval and corrected p-value."""

    difference: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, row: dict[str, str]) -> "Measured | None":
        """Return the difference of a row; None in the row of the reference."""
        names = ("difference", "difference_low", "difference_high", "p_holm")
        values = [row.get(name, "") for name in names]
        return cls(*map(float, values)) if all(values) else None

    def verdict(self, sign: float) -> str:
        """Return what becomes of the claim that the difference has a sign."""
        if self.p >= LEVEL:
            return UNDECIDABLE
        return UPHELD if self.difference * sign > 0 else REFUTED

    def __str__(self) -> str:
        return f"{self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def newest(folder: Path, step: str) -> Path | None:
    """Return the table of a step, that of test rows where there is one; None where there is neither."""
    for name in (f"{step}-test.csv", f"{step}.csv"):
        if (folder / name).is_file():
            return folder / name
    return None


def table_1(path: Path, source: str) -> Iterator[str]:
    """Yield the lines on the published differences of all models from the one they were compared with."""
    rows = read(path)
    published = {row["model"]: row for row in rows if row["source"] == source}
    for row in rows:
        measured = Measured.of(row) if row["source"] == "measured" else None
        reference = row.get("compared_with") or ""
        if measured is None or row["model"] not in published or reference not in published:
            continue
        claimed = float(published[row["model"]][METRIC]) - float(published[reference][METRIC])
        side = "above" if claimed > 0 else "below"
        words = f"{row['model']} {side} {reference}"
        held = "inside" if measured.low <= claimed <= measured.high else "outside"
        verdict = measured.verdict(claimed)
        yield f"| {words} | {claimed:+.4f} | {measured} | {measured.p:.3f} | {held} | {verdict} |"


def table_3(path: Path) -> Iterator[str]:
    """Yield the lines on the parts of a model: that it is worse without each."""
    for row in read(path):
        measured = Measured.of(row)
        if measured is not None:
            words = f"{row['configuration']}: worse than the whole"
            yield f"| {words} | | {measured} | {measured.p:.3f} | | {measured.verdict(-1)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the tables, RESULTS/paper")
    parser.add_argument("--source", default=BLADE, help="whose claims; a source of published.csv")
    options = parser.parse_args()
    for recipe in ("shared", "published"):
        lines = []
        if path := newest(options.folder, f"table-1-{recipe}"):
            lines += table_1(path, options.source)
        if path := newest(options.folder, f"table-3-{recipe}"):
            lines += table_3(path)
        if lines:
            print(f"\n{recipe} recipe\n")
            print("| claim | published | measured, 95% | p | published is | verdict |")
            print("|---|---|---|---|---|---|")
            print("\n".join(lines))


if __name__ == "__main__":
    main()

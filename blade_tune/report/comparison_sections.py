"""Sections of a comparison's page on what a comparison found: overview, table, differences, groups of users."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from blade_tune.report import comparison_figures as figures
from blade_tune.report.comparison_tables import comparison_table
from blade_tune.report.group_tables import group_notes
from blade_tune.report.score_cells import LEVEL, difference_words, metric_name
from blade_tune.report.section import Section, plural
from blade_tune.report.text_tables import Cell, Entry, Table
from blade_tune.selection.automatic import AutomaticChoice
from blade_tune.selection.compare import uneven
from blade_tune.selection.comparison import Comparisons, Contender
from blade_tune.selection.power import ENOUGH, smallest_difference
from blade_tune.selection.published_tables import published_figures_of
from blade_tune.selection.saturation import Course, course
from blade_tune.selection.stored_comparison import StoredComparison
from blade_tune.training.baselines import REFERENCE

NOTHING = "Under two winners are confirmed, so there is nothing to compare yet."


@dataclass(frozen=True)
class Compared:
    """A stored comparison, with results that several sections need and that are computed once."""

    stored: StoredComparison

    @cached_property
    def valid(self) -> Comparisons | None:
        """The comparison on validation rows; None where under two winners are confirmed."""
        return self.stored.on("valid")

    @cached_property
    def test(self) -> Comparisons | None:
        """The comparison on test rows; None where under two models were tested before."""
        return self.stored.on("test")

    @property
    def parts(self) -> list[Comparisons]:
        """The comparisons that there are, that on validation rows first."""
        return [found for found in (self.valid, self.test) if found]

    @cached_property
    def courses(self) -> dict[str, Course]:
        """Model -> the course of its search."""
        return {stored.label: course(stored) for stored in self.stored.searches}

    @property
    def unfinished(self) -> str:
        """A sentence on the models whose winner is not confirmed; empty if there are none."""
        missing = self.stored.missing
        is_automatic = self.stored.name.kind == "auto"  # which confirms only the best
        if not missing or is_automatic:
            return ""
        count, total = len(missing), len(self.stored.models)
        by_words: dict[str, list[str]] = {}
        for model, words in missing.items():
            by_words.setdefault(words, []).append(model)
        listed = "; ".join(f"{', '.join(models)}: {words}" for words, models in by_words.items())
        return f"Not complete: {count} of {plural(total, 'model')} have no confirmed winner yet ({listed})."


def automatic(compared: Compared) -> Iterator[Section]:
    """Yield the section on an automatic choice, where the comparison is one: its words, and why models were left."""
    found = AutomaticChoice.load(compared.stored.searches)
    if found is None:
        return
    rows: list[tuple[str, Sequence[Entry]]] = []
    for model, moments in compared.courses.items():
        points = moments.points
        best = f"{points[-1].best:.4f}" if points and points[-1].best is not None else ""
        hours = f"{60 * points[-1].hours:.1f}" if points else ""
        trials = str(points[-1].trials) if points else "0"
        rows.append((model, [trials, hours, best, found.left.get(model, "")]))
    columns = ("model", "scored trials", "minutes", "best of its trials", "why it got no more time")
    table = Table(columns, rows, "What each model had of the time.")
    yield Section("Automatic choice", [found.words], table=table)


def results(compared: Compared) -> Iterator[Section]:
    """Yield overview, table and differences of the comparison on validation rows, and then on test rows."""
    if compared.valid is None:
        yield Section("Overview", [NOTHING], compared.unfinished, compared.stored.command)
    for found in compared.parts:
        yield _overview(compared, found)
        yield _table(found)
        yield _differences(compared, found)


def _title(words: str, found: Comparisons) -> str:
    """Return the title of a section, which says so where it is of test rows."""
    return f"{words} on test rows" if found.part == "test" else words


def _overview(compared: Compared, found: Comparisons) -> Section:
    is_test = found.part == "test"
    entries = figures.by_expected(found)
    words = [_best(entries, found.metric)]
    if is_test:
        words.append(f"On the sealed test rows, which chose nothing; {_openings(found)}.")
        words += _hollow(found)
    else:
        words.append(
            "A dot is the figure to expect for users and seeds that had no part in the choice, with its 95% interval. "
            "All of it is of validation rows."
        )
    words.append(_legend(entries))
    unfinished = "" if is_test else compared.unfinished
    command = compared.stored.command if unfinished else ""
    title = _title("Overview", found)
    return Section(title, words, unfinished, command, figure=figures.overview(found))


def _hollow(found: Comparisons) -> list[str]:
    """Return a sentence on the hollow marks of the overview on test rows; none where it has none."""
    data = found.entries[0].study.definition.data.name
    what = []
    if published_figures_of(data, found.metric):
        what.append("what papers published, of models that others trained")
    if found.told:
        what.append("the same runs, told another set of the next item")
    return [f"Hollow marks are {' and '.join(what)}."] if what else []


def _best(entries: Sequence[Contender], metric: str) -> str:
    """Return a sentence on the best classical and the best neural model."""
    best = []
    for is_fitted, kind in ((True, "classical"), (False, "neural")):
        of_kind = [entry for entry in entries if entry.study.definition.is_fitted is is_fitted]
        if of_kind:
            first = of_kind[0]
            reached = figures.expected_of(first, metric)
            best.append((reached.mean, f"{first.label} is the best {kind} model with {reached}"))
    best.sort(reverse=True)
    return f"{', '.join(words for _, words in best)}."


def _legend(entries: Sequence[Contender]) -> str:
    words = "Vertical lines are untuned baselines on the same users."
    if any(entry.takes_target_set for entry in entries):
        words += " Models with a dagger take a target set, as the footnote of the table says."
    return words


def _openings(found: Comparisons) -> str:
    """Return how often the test rows were opened, as the protocol line has it."""
    return found.protocol.rpartition(", ")[2]


def _table(found: Comparisons) -> Section:
    """Return the section with the table of the comparison, as `compare` prints it."""
    studies = [entry.study for entry in found.entries]
    limit = next((stored.limit for stored in studies if stored.limit), None)
    not_above = [
        entry.label for entry in found.entries if entry.verdict and not entry.verdict.is_above
    ]
    words = [
        "The winner of each search, trained anew on fresh seeds, beside what untuned baselines reach; best in bold, "
        "second underlined."
    ]
    if not_above:
        words.append(f"Not above the untuned {REFERENCE}: {', '.join(not_above)}.")
    title = _title("Table", found)
    return Section(title, words, table=comparison_table(found, uneven(studies, None, limit)))


def _differences(compared: Compared, found: Comparisons) -> Section:
    metric, pairs = metric_name(found.metric), found.with_reference
    least = smallest_difference(found.noise, found.plan)
    differing = [model for model, pair in pairs.items() if pair.p_adjusted < LEVEL]
    count = plural(len(found.pairs), "pair")
    fact = f"{', '.join(differing) or 'No model'} differ{'' if len(differing) > 1 else 's'} from {found.reference}"
    words = [
        f"{fact} beyond chance (p < {LEVEL} after Holm's correction over {count}).",
        f"Shaded: a true difference under {least:.4f} is found with less than {ENOUGH:.0%} chance here, so a model "
        "there that does not differ is undecided rather than equal.",
    ]
    contrasts = compared.stored.contrasts
    if contrasts and found.contrasts is None:
        words.append(
            f"All are to be compared with {contrasts.against}, which has no figures here yet: until then with the best."
        )
    if compared.stored.missing:
        words.append(
            "P-values are corrected over the pairs that are here; with more models they rise."
        )
    rows: list[tuple[str, Sequence[Entry]]] = []
    for entry in figures.by_expected(found):
        if entry.label in pairs:
            pair = pairs[entry.label]
            each = pair.comparison
            cells = [f"{each.difference:+z.4f}", f"{each.low:+z.4f} to {each.high:+z.4f}"]
            rows.append((entry.label, [*cells, figures.p_words(pair.p_adjusted)]))
    columns = ("model", f"{metric} minus {found.reference}'s", "95% interval", "after Holm")
    caption = f"Differences from {found.reference}, {found.part} rows, paired by user and seed."
    title = _title("Differences", found)
    return Section(
        title, words, figure=figures.differences(found), table=Table(columns, rows, caption)
    )


def groups(compared: Compared) -> Iterator[Section]:
    """Yield a section on groups of users for each part; none where the data does not tell them apart."""
    for found in compared.parts:
        if not found.groups:
            continue
        metric = metric_name(found.metric)
        contrasts = {each.label: each for each in found.group_contrasts}
        rows: list[tuple[str, Sequence[Entry]]] = []
        for entry in figures.by_expected(found):
            cells: list[Entry] = []
            for mask_U in found.groups.values():
                estimate = entry.scores.of_users(mask_U, found.metric)
                cells.append(Cell(estimate.mean, estimate.sd) if estimate else "")
            each = contrasts.get(entry.label)
            last = difference_words(each.comparison, each.p_adjusted) if each else ""
            rows.append((entry.label, [*cells, last]))
        first, *_, last_group = found.groups
        columns = (
            "model",
            *(f"{metric}, {name}" for name in found.groups),
            f"{last_group} minus {first}, from {found.reference}",
        )
        notes = group_notes(found.groups, (), found.reference, found.metric)
        caption = f"{found.part} figures by group of users, mean ± sd over seeds"
        yield Section(
            _title("Groups of users", found),
            [_groups_differ(found, first, last_group)],
            figure=figures.groups(found),
            table=Table(columns, rows, caption, notes),
        )


def _groups_differ(found: Comparisons, first: str, last: str) -> str:
    """Return a sentence on the models whose difference from the reference depends on the group."""
    differing = [each.label for each in found.group_contrasts if each.p_adjusted < LEVEL]
    fact = f"that of {', '.join(differing)} is" if differing else "none is"
    return (
        f"Whether a difference from {found.reference} is another among {last} users than among {first} users: {fact}, "
        "beyond chance (interaction, Holm over all models)."
    )

"""Page that `blade-tune data stats` prints for people: what a data set holds, in groups of a line or two."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.cli.output import page_width
from blade_tune.data.auxiliary import Auxiliary, auxiliaries
from blade_tune.data.raw.since_1970 import as_date
from blade_tune.printable import printable_lines

WIDTH, INDENT = 110, 13


def stats_page(facts: Mapping[str, Any], name: str, auxiliary: Auxiliary, metric: str) -> str:
    """Return the statistics of a data set as a page.

    Args:
        facts: what `data stats -f json` prints.
        name: the name of the data set.
        auxiliary: the behaviors that are no targets, as files say it.
        metric: the metric of the study, in which baselines are shown.
    """
    if "versions" in facts:
        name = Path(facts["folder"]).name
    size = {noun: facts[noun] for noun in ("users", "items", "interactions")}
    title = f"{name}: {_counts(size, after=True)}"
    groups = {
        "behaviors": _behaviors(facts, auxiliary),
        "a user": _lengths(facts),
        "time": _time(facts.get("time_span", {})),
        "split": _split(facts),
        "log": _log(facts),
        "baselines": _baselines(facts, metric),
        "what matters": ", ".join(f"{k} {v}" for k, v in facts.get("xray", {}).items()),
        "studies": ", ".join(facts["studies"]) or "none was run on these rows here",
        "versions": _versions(facts),
        "license": facts.get("license", ""),
        "published": "; ".join(facts.get("published", ())),
    }
    lines = [title]
    for label, words in groups.items():
        if words:
            lines += textwrap.wrap(
                printable_lines(words),
                page_width(WIDTH),
                initial_indent=f"{label:<{INDENT}}",
                subsequent_indent=" " * INDENT,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join([*lines, "all figures: -f json"])


def _counts(counts: Mapping[str, int], *, after: bool = False) -> str:
    """Return counts that are not 0 in words; the name comes first, or after its number."""
    shown = {name.replace("_", " "): f"{count:,}" for name, count in counts.items() if count}
    return ", ".join(f"{n} {name}" if after else f"{name} {n}" for name, n in shown.items())


def _behaviors(facts: Mapping[str, Any], auxiliary: Auxiliary) -> str:
    sizes = {size: count for size, count in facts["set_sizes"].items() if count}
    total = sum(sizes.values())
    shares = ", ".join(f"{size} {count / total:.1%}" for size, count in sizes.items())
    names = auxiliaries(auxiliary)
    verb = "is no target" if len(names) == 1 else "are no targets"
    aside = f" ({' and '.join(names)} {verb})" if names else ""
    return f"{_counts(facts['behaviors'])}{aside}; sets of {shares}"


def _lengths(facts: Mapping[str, Any]) -> str:
    length = facts["length"]
    words = (
        f"{length['min']:,} to {length['max']:,} train rows, median {length['median']:,.0f}, mean "
        f"{length['mean']:,.1f}, 90% have at most {length['p90']:,.0f}; {facts['repeated_items']:,} met an item again"
    )
    if "long_tail_users" in facts:
        words += f"; {facts['long_tail_users']:,} of the long tail"
    return words


def _time(span: Mapping[str, str]) -> str:
    return f"{_moment(span['first'])} to {_moment(span['last'])}" if span else ""


def _moment(text: str) -> str:
    """Return a time of a log as a date where it is a number that must be one; else as it stands."""
    return as_date(text) or text


def _split(facts: Mapping[str, Any]) -> str:
    words = f"{_counts(facts['parts'])} rows; test and between are sealed"
    met = facts["targets_in_history"]["valid"]
    if met:
        words += f"; {met:,} valid items were met before, which no ranking can hit"
    if any(facts["dropped"].values()):
        words += f"; left out: {_counts(facts['dropped'])}"
    return words


def _log(facts: Mapping[str, Any]) -> str:
    words = [str(facts["source"])] if "source" in facts else []
    if "log" in facts:
        left_out = _counts(facts["log"]["left_out"]) or "nothing"
        words.append(f"{facts['log']['rows']:,} rows read; left out: {left_out}")
    return "; ".join(words)


def _baselines(facts: Mapping[str, Any], metric: str) -> str:
    shown = []
    for name, figures in facts["baselines"]["valid"].items():
        is_measured = isinstance(figures, Mapping)
        shown.append(f"{name} {figures[metric]:.4f}" if is_measured else f"{name} not: {figures}")
    words = f"{metric} on valid rows, untuned: {', '.join(shown)}"
    best = facts.get("best_reachable", {}).get("valid", {})
    return f"{words}; best reachable {best[metric]:.4f}" if metric in best else words


def _versions(facts: Mapping[str, Any]) -> str:
    versions = facts.get("versions", {})
    if len(versions) < 2:
        return ""
    shown = []
    for name, version in versions.items():
        until = f" until {_moment(version['last'])}" if "last" in version else ""
        is_this = ", this one" if version["folder"] == facts["folder"] else ""
        shown.append(f"{name} ({version['rows']:,} rows{until}{is_this})")
    words = ", ".join(shown)
    return f"{words}. {facts['earlier_test_rows']}" if "earlier_test_rows" in facts else words

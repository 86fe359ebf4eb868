"""Figures of a comparison: what each model reaches, how far it is from the reference, for which users, at what cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from blade_tune.report import theme
from blade_tune.report.effect_tables import PARTS
from blade_tune.report.section import plural
from blade_tune.selection.comparison import Comparisons, Contender
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.power import smallest_difference
from blade_tune.selection.published_tables import PublishedFigure, published_figures_of
from blade_tune.storage.spending import words_of

ROW = 28  # pixels of a model
LABEL_ROW = 18  # pixels of a baseline's name above the plot
P_WIDTH = 74  # pixels beside the plot for p-values
SHORTEST_H = 1 / 3600  # hours as which less than a second is drawn, for the axis is logarithmic
GROUP_COLORS = (theme.SKY, theme.BLUE, theme.PURPLE)
HOLLOW = ("circle-open", "square-open", "triangle-up-open")


@dataclass(frozen=True)
class Kind:
    """Models that are drawn alike."""

    words: str
    color: str
    symbol: str


CLASSICAL = Kind("classical", theme.ORANGE, "circle")
NEURAL = Kind("neural", theme.BLUE, "circle")
TOLD = Kind("neural, told of the next item †", theme.VERMILION, "diamond")
KINDS = (CLASSICAL, NEURAL, TOLD)


def kind_of(entry: Contender) -> Kind:
    """Return which kind of model a contender is."""
    if entry.study.definition.is_fitted:
        return CLASSICAL
    return TOLD if entry.takes_target_set else NEURAL


def expected_of(entry: Contender, metric: str) -> Expected:
    """Return what to expect of a model; where that is not known, the mean of its runs without an interval."""
    mean = entry.scores.estimate(metric).mean
    return entry.expected or Expected(mean, mean, mean)


def by_expected(comparisons: Comparisons) -> list[Contender]:
    """Return the models of a comparison, the highest expected figure first."""
    return sorted(
        comparisons.entries, key=lambda entry: -expected_of(entry, comparisons.metric).mean
    )


def overview(comparisons: Comparisons) -> go.Figure:
    """Draw what each model reaches with its 95% interval, the best on top, and untuned baselines as vertical lines.

    On test rows there are hollow marks for published figures, and for the same runs told another set of the next item.
    """
    metric, entries = comparisons.metric, by_expected(comparisons)
    data = entries[0].study.definition.data.name
    is_test = comparisons.part == "test"
    published = published_figures_of(data, metric) if is_test else []
    baselines = _baselines(comparisons)
    title = f"{'test' if is_test else 'expected'} {metric.upper()}, 95%"
    figure = _rows(entries, title, top=LABEL_ROW * len(baselines))
    for kind in KINDS:
        of_kind = [entry for entry in entries if kind_of(entry) is kind]
        found = {entry.label: expected_of(entry, metric) for entry in of_kind}
        _intervals(figure, kind, {m: (each.mean, each.low, each.high) for m, each in found.items()})
    if is_test:
        _add_told(figure, comparisons)
        _add_published(figure, published, {entry.label for entry in entries})
    # Said, for the names of baselines would stretch the axis on a phone
    drawn = [*_drawn(figure), *(end for ends in baselines.values() for end in ends)]
    margin = 0.04 * (max(drawn) - min(drawn))
    low, high = min(drawn) - margin, max(drawn) + margin
    for index, (name, ends) in enumerate(baselines.items()):
        _add_baseline(figure, name, ends, index, is_left=sum(ends) / 2 < low + (high - low) / 4)
    return figure.update_xaxes(range=[low, high])


def _rows(entries: Sequence[Contender], title: str, top: int = 0, right: int = 12) -> go.Figure:
    """Return an empty figure with a row a model, the first on top.

    Args:
        entries: the models.
        title: of the axis of values.
        top: pixels above the plot.
        right: pixels beside it.
    """
    inner = 30 + ROW * len(entries)
    labels = [theme.shown(entry.label) for entry in entries]
    return theme.figure(
        height=inner + top + 140,
        margin={"t": 24 + top, "r": right},
        xaxis={"title": title, "nticks": 6, "tickangle": 0},
        yaxis={
            "type": "category",
            "categoryarray": labels,
            "range": [len(labels) - 0.5, -0.5],
            "ticktext": [
                f"{label} †" if e.takes_target_set else label
                for e, label in zip(entries, labels, strict=True)
            ],
            "tickvals": labels,
        },
        legend={"y": -58 / inner},
        hovermode="closest",
    )


def _intervals(
    figure: go.Figure, kind: Kind, found: Mapping[str, tuple[float, float, float]]
) -> None:
    """Add a dot and its interval for each model of a kind.

    Args:
        figure: the figure.
        kind: how they are drawn.
        found: model -> its figure, and the ends of the interval.
    """
    if not found:
        return
    figure.add_scatter(
        x=[mean for mean, _, _ in found.values()],
        y=[theme.shown(label) for label in found],
        error_x={
            "array": [high - mean for mean, _, high in found.values()],
            "arrayminus": [mean - low for mean, low, _ in found.values()],
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        marker={"size": 10, "color": kind.color, "symbol": kind.symbol},
        customdata=[ends for _, *ends in found.values()],
        hovertemplate="%{y}: %{x:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f})<extra></extra>",
        name=kind.words,
    )


def _baselines(comparisons: Comparisons) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest figure of each untuned baseline, which differ where models' windows do."""
    figures: dict[str, list[float]] = {}
    for entry in comparisons.entries:
        for name, reached in entry.baselines.items():
            if comparisons.metric in reached:
                figures.setdefault(name, []).append(reached[comparisons.metric])
    return {name: (min(values), max(values)) for name, values in figures.items()}


def _add_baseline(
    figure: go.Figure, name: str, ends: tuple[float, float], index: int, *, is_left: bool
) -> None:
    """Add the line of a baseline, or the band between its figures, with its name in a row of its own above the plot."""
    low, high = ends
    line = {"dash": theme.BASELINE_DASHES[index % 3], "color": theme.GRAY, "width": 2}
    if high > low:
        figure.add_vrect(low, high, fillcolor=theme.GRAY, opacity=0.25, line_width=0, layer="below")
    figure.add_vline((low + high) / 2, line=line, layer="below")
    value = f"{low:.4f}" if high == low else f"{low:.4f} to {high:.4f}"
    figure.add_annotation(
        x=(low + high) / 2,
        y=1,
        yref="paper",
        yshift=LABEL_ROW * index,
        yanchor="bottom",
        xanchor="left" if is_left else "right",
        text=theme.shown(f"{name}, untuned {value}"),
        showarrow=False,
        font={"size": 11, "color": theme.SOFT},
    )


def _drawn(figure: go.Figure) -> list[float]:
    """Return the positions of all marks of a figure, and the ends of their intervals."""
    positions: list[float] = []
    for trace in figure.data:
        positions += trace.x
        if trace.customdata is not None:
            positions += [end for ends in trace.customdata for end in ends]
    return positions


def _add_told(figure: go.Figure, comparisons: Comparisons) -> None:
    """Add a hollow mark for each model under another target set than the study's."""
    sets = dict.fromkeys(told.target_set for told in comparisons.told)
    for target_set in sets:
        shown = [told for told in comparisons.told if told.target_set == target_set]
        means = [told.scores.estimate(comparisons.metric).mean for told in shown]
        labels = [told.model for told in shown]
        _hollow(figure, labels, means, f"the same runs, told {target_set}", "diamond-open")


def _add_published(
    figure: go.Figure, published: Sequence[PublishedFigure], models: set[str]
) -> None:
    """Add a hollow mark for each published figure of the models, a trace a source."""
    sources = dict.fromkeys(each.source for each in published if each.model in models)
    for index, source in enumerate(sources):
        shown = [each for each in published if each.source == source and each.model in models]
        labels, values = [each.model for each in shown], [each.value for each in shown]
        name = f"published by {theme.shown(source)}"
        _hollow(figure, labels, values, name, HOLLOW[index % len(HOLLOW)])


def _hollow(
    figure: go.Figure, labels: Sequence[str], values: Sequence[float], name: str, symbol: str
) -> None:
    figure.add_scatter(
        x=values,
        y=[theme.shown(label) for label in labels],
        mode="markers",
        marker={"size": 10, "color": theme.INK, "symbol": symbol},
        hovertemplate="%{y}: %{x:.4f}",
        name=name,
    )


def differences(comparisons: Comparisons) -> go.Figure:
    """Draw each model's difference from the reference with its 95% interval and p-value, over what can be found."""
    pairs = comparisons.with_reference
    entries = [entry for entry in by_expected(comparisons) if entry.label in pairs]
    least = smallest_difference(comparisons.noise, comparisons.plan)
    title = f"{comparisons.metric.upper()} minus {theme.shown(comparisons.reference)}'s, 95%"
    figure = _rows(entries, title, right=P_WIDTH)
    for kind in KINDS:
        found = {}
        for entry in entries:
            compared = pairs[entry.label].comparison
            if kind_of(entry) is kind:
                found[entry.label] = (compared.difference, compared.low, compared.high)
        _intervals(figure, kind, found)
    # A band that is much wider than all intervals would leave no room for them
    drawn = [0.0, *_drawn(figure)]
    reach = min(least, 1.3 * max(map(abs, drawn)))
    margin = 0.04 * (max(drawn) - min(drawn))
    low, high = min(*drawn, -reach) - margin, max(*drawn, reach) + margin
    figure.update_xaxes(range=[low, high])
    figure.add_vrect(-least, least, fillcolor=theme.GRAY, opacity=0.18, line_width=0, layer="below")
    figure.add_vline(0, line={"color": theme.INK, "width": 1}, layer="below")
    for entry in entries:
        figure.add_annotation(
            x=1,
            xref="paper",
            xanchor="left",
            xshift=6,
            y=theme.shown(entry.label),
            text=theme.shown(p_words(pairs[entry.label].p_adjusted)),
            showarrow=False,
            font={"size": 12},
        )
    return figure


def p_words(p_value: float) -> str:
    """Return a p-value with three digits after the point: "p = 0.034", "p < 0.001"."""
    return "p < 0.001" if p_value < 0.0005 else f"p = {p_value:.3f}"


def groups(comparisons: Comparisons) -> go.Figure:
    """Draw what each model reaches among each group of users, without intervals."""
    entries = by_expected(comparisons)
    title = f"{PARTS[comparisons.part]} {comparisons.metric.upper()}"
    figure = _rows(entries, title)
    for (name, mask_U), color in zip(comparisons.groups.items(), GROUP_COLORS, strict=False):
        means = {}
        for entry in entries:
            if estimate := entry.scores.of_users(mask_U, comparisons.metric):
                means[entry.label] = estimate.mean
        figure.add_scatter(
            x=[*means.values()],
            y=[theme.shown(label) for label in means],
            mode="markers",
            marker={"size": 10, "color": color},
            hovertemplate="%{y}: %{x:.4f}",
            name=f"{name} ({plural(int(mask_U.sum()), 'user')})",
        )
    return figure


def cost_and_quality(comparisons: Comparisons) -> go.Figure:
    """Draw what each model reaches over the hours of its search, with its name and the number of its trials."""
    metric = comparisons.metric
    entries = comparisons.entries
    unit = entries[0].hours_unit
    figure = theme.figure(
        height=520,
        xaxis={"title": f"{words_of(unit)} of search", "type": "log", **_magnitudes(entries)},
        yaxis_title=f"expected {metric.upper()}",
        hovermode="closest",
        legend={"y": -0.16},
    )
    # Names stand right and left of their marks in turn, for many searches have cost the same
    sides = {entry.label: index % 2 for index, entry in enumerate(by_expected(comparisons))}
    for kind in KINDS:
        shown = [entry for entry in entries if kind_of(entry) is kind]
        if not shown:
            continue
        names = [f"{entry.label} ({entry.spent['trials']:g})" for entry in shown]
        figure.add_scatter(
            x=[max(entry.hours, SHORTEST_H) for entry in shown],
            y=[expected_of(entry, metric).mean for entry in shown],
            text=[theme.shown(name) for name in names],
            textposition=[("middle right", "middle left")[sides[e.label]] for e in shown],
            textfont={"size": 12},
            cliponaxis=False,
            mode="markers+text",
            marker={"size": 11, "color": kind.color, "symbol": kind.symbol},
            hovertemplate="%{text}: %{y:.4f} after %{x:.3g} h<extra></extra>",
            name=kind.words,
        )
    return figure


def _magnitudes(entries: Sequence[Contender]) -> dict[str, Any]:
    """Return the ticks of an axis of hours of several magnitudes."""
    hours = [max(entry.hours, SHORTEST_H) for entry in entries]
    ticks = theme.log_ticks(min(hours), max(hours))
    low, high = math.log10(min(hours)), math.log10(max(hours))
    margin = 0.3 * (high - low) or 1.0  # for the names
    return {
        "tickvals": ticks,
        "ticktext": [f"{tick:.2g}" for tick in ticks],
        "range": [low - margin, high + margin],
    }

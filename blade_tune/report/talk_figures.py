"""The one figure of a page for a talk: 16 by 9, in large type, with a sentence that says what it shows."""

import textwrap

import plotly.graph_objects as go

from blade_tune.report import comparison_figures, figures, theme
from blade_tune.report.section import Study, interval, plural
from blade_tune.selection.comparison import Comparisons

WIDTH, HEIGHT = 800, 450  # pixels; a page enlarges the figure, type and all, to the screen
RATIO = WIDTH / HEIGHT
TITLE, NOTE = 18, 10  # pixels of type
LINE, MARGIN = 24, 16  # pixels of a line of the title, and around all
TITLE_LETTER, NOTE_LETTER = 11.5, 5.6  # pixels of a letter's width
HEAD = 50  # pixels of height for a title above a figure that has none


def of_comparison(found: Comparisons) -> go.Figure:
    """Draw what each model reaches with its interval and the untuned baselines, under what that says of the best."""
    best = comparison_figures.by_expected(found)[0]
    reached = comparison_figures.expected_of(best, found.metric)
    is_test = found.part == "test"
    where = "test rows" if is_test else "users that had no part in the choice"
    title = (
        f"{best.label} is the best of {plural(len(found.entries), 'model')}: {reached} on {where}"
    )
    figure = comparison_figures.overview(found)
    return _enlarged(figure, title, found.protocol.removeprefix("protocol: "))


def of_study(study: Study) -> go.Figure | None:
    """Draw a study's history with untuned baselines and the winner; None before a trial has been scored."""
    figure = figures.history(study.stored)
    best, confirmation = study.status["best"], study.confirmation
    if figure is None:
        return None
    title = f"{study.name}: no trial has completed yet"
    if best:
        among = plural(study.num_completed, "completed trial")
        title = (
            f"{study.name}: {study.metric} {best['value']:.4f}, the best of {among}, not confirmed"
        )
    if confirmation:
        winner, (low, high) = confirmation.winner, confirmation.winner_interval
        over = plural(winner.estimate.num, confirmation.over)
        value = f"{winner.estimate.mean:.4f} ({interval(low, high)})"
        title = f"{study.name}: the winner reaches {study.metric} {value} over {over}"
        if confirmation.verdict:
            title += f", {confirmation.verdict.brief}"
        mean = winner.estimate.mean
        figure.add_scatter(
            x=[len(study.stored.trials) + 0.5],
            y=[mean],
            error_y={"array": [high - mean], "arrayminus": [mean - low], "thickness": 2},
            mode="markers",
            marker={"symbol": "diamond", "size": 13, "color": theme.GREEN},
            name=f"winner, trial {winner.trial}, confirmed",
        )
    return _enlarged(figure, title, study.protocol.removeprefix("protocol: "))


def _enlarged(figure: go.Figure, title: str, note: str) -> go.Figure:
    """Return a figure as large as its rows need, at 16 by 9, under a title and a note on how it was made."""
    height = max(HEIGHT, (figure.layout.height or HEIGHT) + HEAD)
    width = round(height * RATIO)
    lines = textwrap.wrap(title, round(width / TITLE_LETTER))
    notes = textwrap.wrap(note, round(width / NOTE_LETTER))
    shown, small = ("<br>".join(map(theme.shown, each)) for each in (lines, notes))
    # Lines of the note are as high as those of the title
    top = (figure.layout.margin.t or 0) + LINE * (len(lines) + len(notes)) + MARGIN
    return figure.update_layout(
        title={
            "text": f"<b>{shown}</b><br><span style='font-size:{NOTE}px'>{small}</span>",
            "font": {"size": TITLE},
            "pad": {"l": MARGIN, "t": MARGIN + TITLE / 2},
        },
        width=width,
        height=height,
        margin={"t": top, "b": 12, "l": MARGIN, "r": figure.layout.margin.r or MARGIN},
    )

"""Figures: what is drawn, in what words, and how large it gets."""

import json

import pytest

from blade_tune.report import curve_figures, figures, numbers, parameter_figures, theme
from blade_tune.storage.trials import best_trial, num_scored
from tests.report import made_up
from tests.report.made_up import COMPLETE, PRUNED

FIGURES = [
    figures.history,
    curve_figures.over_epochs,
    curve_figures.over_seconds,
    figures.expected_best,
    figures.cost,
    parameter_figures.importances,
    parameter_figures.slices,
    parameter_figures.parallel_coordinates,
]


def named(figure, words):
    """The one trace with these words in its name."""
    (trace,) = [trace for trace in figure.data if words in (trace.name or "")]
    return trace


@pytest.mark.parametrize("make", FIGURES)
def test_figures_share_their_look_and_follow_the_width(searched, make):
    """They have the house's template and a height; the width is the page's."""
    layout = make(searched).layout
    assert layout.template.layout.font.family == theme.TEMPLATE.layout.font.family
    assert layout.height
    assert layout.width is None


@pytest.mark.parametrize("make", FIGURES)
def test_an_empty_study_has_no_figure(empty, make):
    """Nothing is drawn of nothing."""
    assert make(empty) is None


@pytest.mark.parametrize("state", [COMPLETE, PRUNED])
@pytest.mark.parametrize("make", FIGURES)
def test_one_trial_is_enough_for_a_figure_or_none(searched, make, state):
    """A study of a single trial, completed or pruned, breaks none."""
    only = next(t for t in searched.trials if t.state == state)
    figure = make(made_up.in_memory([only], searched))
    assert figure is None or figure.data


@pytest.mark.parametrize("make", FIGURES)
def test_a_study_without_free_parameters_breaks_none(searched, make):
    """As a study of runs, whose configurations are given."""
    figure = make(made_up.given(25, searched))
    assert (figure is None) == (make.__module__ == parameter_figures.__name__)


def test_history_shows_every_scored_trial(searched):
    """Completed and pruned ones each as a dot, the best so far never falling, the baselines and the noise of seeds."""
    figure = figures.history(searched)
    assert len(named(figure, "completed").x) + len(named(figure, "pruned").x) == num_scored(
        searched.trials
    )
    steps = named(figure, "best so far").y
    assert list(steps) == sorted(steps)
    assert steps[-1] == best_trial(searched.trials).value
    assert [set(named(figure, name).y) for name in ("popularity", "item_knn")] == [{0.08}, {0.1}]
    assert min(named(figure, "between seeds").y) < steps[-1] < max(named(figure, "between seeds").y)
    assert figure.layout.yaxis.title.text == "valid NDCG@10"


def test_history_leaves_out_what_is_not_known(searched):
    """Without a repeat no noise is drawn, without a baseline no baseline."""
    first = [t for t in searched.trials if t.user_attrs.get("replicate") == 0]
    names = [trace.name for trace in figures.history(made_up.in_memory(first, searched)).data]
    assert names == ["pruned, best until then", "completed", "best so far"]


def test_importances_say_on_how_many_trials(searched):
    """The highest share stands on top, parameters by their dotted names."""
    figure = parameter_figures.importances(searched)
    shares = numbers.importances(searched)
    assert dict(zip(figure.data[0].y, figure.data[0].x, strict=True)) == shares
    assert figure.data[0].y[-1] == next(iter(shares))
    assert "30 completed trials" in figure.layout.title.text


def test_slices_show_parameters_where_trials_have_them(searched):
    """A plot a free parameter; a conditional one only with the trials that have it."""
    figure = parameter_figures.slices(searched)
    free = searched.definition.space.free
    done = [t for t in searched.trials if t.state == COMPLETE]
    assert [len(trace.x) for trace in figure.data] == [
        sum(name in t.params for t in done) for name in free
    ]
    axes = {axis.title.text: axis for axis in figure.select_xaxes() if axis.title.text}
    assert list(axes) == list(free)
    low, high = axes["train.learning_rate"].range  # all that was searched
    assert 10**low < 1e-3 < 1e-2 < 10**high


def test_parallel_coordinates_have_a_place_for_absent_parameters(searched):
    """Every completed trial passes every axis; without the conditional parameter it does so at "absent"."""
    (lines,) = parameter_figures.parallel_coordinates(searched).data
    *axes, value = lines.dimensions
    assert [axis.label for axis in axes] == list(searched.definition.space.free)
    assert value.label == "valid NDCG@10"
    by_name = {axis.label: axis for axis in axes}
    conditional = by_name["model.mask_exponent"]
    absent = conditional.tickvals[conditional.ticktext.index("absent")]
    masked = by_name["model.augmentation"].ticktext.index("mask")
    pairs = zip(conditional.values, by_name["model.augmentation"].values, strict=True)
    assert all((place == absent) == (augmentation != masked) for place, augmentation in pairs)
    for axis in axes:
        assert all(
            axis.range[0] <= place <= axis.range[1] for place in (*axis.values, *axis.tickvals)
        )


def test_expected_best_rises_from_the_mean_and_says_what_it_assumes(searched):
    """After one trial it is the mean of all; it never falls, and never exceeds the best."""
    figure = figures.expected_best(searched)
    values = numbers.scored_values(searched)
    curve = list(figure.data[0].y)
    assert curve[0] == pytest.approx(sum(values) / len(values))
    assert curve == sorted(curve)
    assert curve[-1] <= max(values)
    assert "independent draws, which TPE's are not" in figure.layout.title.text.replace("<br>", " ")


def test_cost_draws_the_table(searched):
    """Epochs and hours of each kind, the first kind on top."""
    rows = numbers.costs(searched)
    epochs, hours = figures.cost(searched).data
    assert list(epochs.y) == [row["kind"] for row in rows][::-1]
    assert (list(epochs.x), list(hours.x)) == (
        [row["epochs"] for row in rows][::-1],
        [row["hours"] for row in rows][::-1],
    )


def test_choices_are_no_markup():
    """A choice that looks like a tag is shown as it was written."""
    assert theme.shown("<b>mask</b>") == "&lt;b&gt;mask&lt;/b&gt;"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-3, 1e-2, [0.001, 0.002, 0.005, 0.01]),
        (3e-3, 4e-3, [3e-3, 4e-3]),
        (1e-4, 1.0, [1e-4, 1e-3, 1e-2, 0.1, 1.0]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_round(low, high, ticks):
    """1, 2 and 5, powers of ten alone over many, the ends where nothing round is between them."""
    assert theme.log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"), [(1, 3, [1, 2, 3]), (0.0, 1.0, [0, 0.25, 0.5, 0.75, 1]), (2, 2, [2])]
)
def test_ticks_of_an_even_axis_reach_both_ends(low, high, ticks):
    """Whole numbers one by one where they are few."""
    assert theme.even_ticks(low, high) == ticks


@pytest.mark.parametrize("make", FIGURES)
def test_figures_are_plain_json(searched, make):
    """Nothing in them needs more than JSON can hold, as NaN would."""
    json.loads(make(searched).to_json(), parse_constant=pytest.fail)


def test_importances_need_two_trials_a_parameter():
    """And twenty in any case, of which the top tenth are two."""
    assert [numbers.enough_for_importances(n, 5) for n in (2, 19, 20)] == [False, False, True]
    assert [numbers.enough_for_importances(n, 30) for n in (20, 59, 60)] == [False, False, True]


def test_no_baseline_is_left_out_of_a_figure(searched):
    """However many there are, each has a line."""
    names = [f"b{index}" for index in range(5)]
    measured = {"metrics": {name: {"ndcg@10": 0.1} for name in names}}
    stored = made_up.in_memory(searched.trials, searched)
    stored.study.set_user_attr("baselines", measured)
    for draw in (figures.history, curve_figures.over_epochs, curve_figures.over_seconds):
        drawn = [trace.name for trace in draw(stored).data if "untuned" in (trace.name or "")]
        assert drawn == [f"{name}, untuned (0.1000)" for name in names]


def test_colors_of_a_dark_page_replace_those_of_a_light_one():
    """None of the dark colors is a light one too, so that the order of replacement does not matter; text is legible."""
    assert not set(theme.DARK) & set(theme.DARK.values())
    layout = theme.dark_template().layout
    assert (layout.paper_bgcolor, layout.font.color) == (
        theme.DARK[theme.PAPER],
        theme.DARK[theme.INK],
    )
    assert layout.xaxis.gridcolor == theme.DARK[theme.GRID]
    light, dark = (
        each.layout.coloraxis.colorscale for each in (theme.TEMPLATE, theme.dark_template())
    )
    assert (light[0][1], dark[0][1]) == (dark[-1][1], light[-1][1])

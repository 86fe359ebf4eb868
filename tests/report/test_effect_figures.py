"""Figures of effects: what is a line over a parameter, what is level, what is a point."""

import numpy as np
import pytest

from blade_tune.report.effect_figures import effect_figure
from blade_tune.selection.effects import Effects
from tests.report.made_effects import drawn, made, varied

OPERATORS, RHOS = ("add", "mask", "flip"), (0.1, 0.5, 0.9)
WINNER = {
    "model.augmentation": "flip",
    "model.rho": 0.3,
    "model.lambda_": 0.2,
    "model.fusion": "sum",
}


def grid(title: str = "model.augmentation x model.rho") -> Effects:
    """Figure 3 of BLADE: operators over rho, and the line without augmentation."""
    points = [
        {"model.augmentation": operator, "model.rho": rho} for operator in OPERATORS for rho in RHOS
    ]
    return varied(title, [*points, {"model.augmentation": "none"}], WINNER)


def sweep(name: str, *values, seeds: int = 5) -> Effects:
    return varied(name, [{name: value} for value in values], WINNER, seeds)


def means(measured: Effects) -> dict[str, float]:
    """Mean of each configuration."""
    all_scores = [measured.base, *(effect.scores for effect in measured.effects)]
    return {each.label: each.estimate("ndcg@10").mean for each in all_scores}


def shown(figure):
    """The traces that the legend names, and the bands behind them, by name."""
    lines = {trace.name: trace for trace in figure.data if trace.showlegend is None}
    bands = {trace.legendgroup: trace for trace in figure.data if trace.fill == "toself"}
    return lines, bands


def test_a_sweep_is_a_line_with_a_band():
    """The winner is one of its points and is marked; the band is the 95% interval over seeds."""
    measured = sweep("model.rho", 0.9, 0.1, 0.5)
    lines, bands = shown(effect_figure(measured))
    line, band, star = lines["mean"], bands["mean"], lines["trial 7, the winner"]
    assert list(line.x) == [0.1, 0.3, 0.5, 0.9]
    found = means(measured)
    order = ["model.rho=0.1", "trial 7", "model.rho=0.5", "model.rho=0.9"]
    assert list(line.y) == [found[label] for label in order]
    assert (list(star.x), list(star.y)) == ([0.3], [found["trial 7"]])
    estimate = measured.effects[1].scores.estimate("ndcg@10")
    assert (band.x[0], band.y[0], band.y[-1]) == (0.1, estimate.low, estimate.high)


def test_a_winner_of_a_swept_value_is_that_point():
    """It is not drawn twice."""
    lines, _ = shown(effect_figure(sweep("model.rho", 0.1, 0.3)))
    assert list(lines["mean"].x) == [0.1, 0.3]
    assert list(lines["trial 7, the winner"].x) == [0.3]


def test_values_of_several_magnitudes_are_evenly_spaced():
    """So that .01 and .1 are told apart beside 1, with 0 on the same axis; ticks name the values."""
    figure = effect_figure(sweep("model.lambda_", 0.0, 0.01, 0.1, 1.0))
    lines, _ = shown(figure)
    assert list(lines["mean"].x) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert list(figure.layout.xaxis.ticktext) == ["0", "0.01", "0.1", "0.2", "1"]


def test_a_single_seed_has_no_band():
    """An interval needs two."""
    _, bands = shown(effect_figure(sweep("model.rho", 0.1, 0.5, seeds=1)))
    assert bands == {}


@pytest.mark.parametrize("end", ["", ", test"])
def test_a_grid_is_a_line_a_value_and_level_lines(end: str):
    """A line with a band for each operator, a level one for the configuration that leaves rho as it is."""
    measured = grid(f"model.augmentation x model.rho{end}")
    figure = effect_figure(measured)
    lines, bands = shown(figure)
    names = [f"augmentation {operator}" for operator in (*OPERATORS, "none")]
    assert list(lines) == [*names, "trial 7, the winner"]
    assert list(bands) == names
    found = means(measured)
    for operator in OPERATORS:
        line = lines[f"augmentation {operator}"]
        assert list(line.x) == list(RHOS)
        labels = [f"model.augmentation={operator}, model.rho={rho}" for rho in RHOS]
        assert list(line.y) == [found[label] for label in labels]
    level = lines["augmentation none"]
    assert (list(level.x), set(level.y)) == ([0.1, 0.9], {found["model.augmentation=none"]})
    assert list(lines["trial 7, the winner"].x) == [0.3]
    assert figure.layout.xaxis.title.text == "model.rho"
    assert figure.layout.yaxis.title.text == f"{'test' if end else 'validation'} NDCG@10"


def test_a_line_has_a_color_of_its_own():
    """And its band the same one, seen through."""
    lines, bands = shown(effect_figure(grid()))
    colors = [line.line.color for line in lines.values() if line.line.color]
    assert len(set(colors)) == len(colors) == 4
    red = int(colors[0][1:3], 16)
    assert bands["augmentation add"].fillcolor.startswith(f"rgba({red}, ")


@pytest.mark.parametrize(
    "measured",
    [
        sweep("model.fusion", "sum", "gate", "concat"),
        sweep("model.richness_weight", True, False),
        sweep("model.rho", 0.5),
        varied("ablation", [{"model.alpha": 1.0}, {"model.lambda_": 0.0}], WINNER),
    ],
    ids=["names", "bools", "one value", "ablation"],
)
def test_what_has_no_order_is_points(measured: Effects):
    """A point with an error bar each, the winner first and in its own color."""
    (points,) = effect_figure(measured).data
    assert list(points.y) == [*means(measured).values()]
    assert points.x[0] == "trial 7"
    assert len(set(points.marker.color[1:])) == 1
    assert points.marker.color[0] not in points.marker.color[1:]


def test_names_are_no_markup():
    """A value is shown as text."""
    rng = np.random.default_rng(1)
    points = {
        f"{tag}{rho}": ({"model.tag": tag, "model.rho": rho}, drawn(rng))
        for tag in ("<b>", "a")
        for rho in (0.1, 0.2)
    }
    measured = made(
        "model.tag x model.rho", drawn(rng), points, {"model.tag": "a", "model.rho": 1.0}
    )
    lines, _ = shown(effect_figure(measured))
    assert "tag &lt;b&gt;" in lines

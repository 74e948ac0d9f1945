"""How well probabilities rank the photos: ROC and precision-recall, with bands over patients."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation import metrics
from stn_jax.evaluation.figures.legend import legend_below
from stn_jax.evaluation.figures.style import (
    BLUE,
    GREY,
    class_color,
    class_marker,
    new_figure,
    percent_formatter,
)
from stn_jax.evaluation.intervals import draw_groups, group_members
from stn_jax.evaluation.table import PredictionTable

_LINES = ("-", "--", "-.", ":")
_MOST_IN_AXES = 3
"""Classes whose curves leave room for a legend among them; that of more goes below."""
_DRAWS = 300
"""Bootstrap draws behind the bands of ROC and precision-recall."""


def _height_between(
    x: Float[np.ndarray, " step"], y: Float[np.ndarray, " step"], grid: Float[np.ndarray, " x"]
) -> Float[np.ndarray, " x"]:
    """The height of straight lines from step to step; the upper end of those that rise upright."""
    return np.interp(grid + 1e-12, x, y)


def _height_of_next(
    x: Float[np.ndarray, " step"], y: Float[np.ndarray, " step"], grid: Float[np.ndarray, " x"]
) -> Float[np.ndarray, " x"]:
    """The height of the first step that reaches each place, as in average precision."""
    return y[np.searchsorted(x, grid - 1e-12)]


@dataclasses.dataclass(frozen=True)
class _Curve:
    """A curve whose area, as it is drawn, is the number beside it."""

    steps: Callable[..., tuple[np.ndarray, np.ndarray]]
    """From a ranking, and how often each photo counts, to x and y as the threshold falls."""
    drawstyle: str
    """How matplotlib joins the steps."""
    height_at: Callable[..., np.ndarray]
    """The same for places between them."""
    grid: Float[np.ndarray, " x"]
    """Where the band is computed."""


_ROC = _Curve(metrics.Ranking.roc, "default", _height_between, np.linspace(0, 1, 201))
_PRECISION_RECALL = _Curve(
    metrics.Ranking.precision_recall, "steps-pre", _height_of_next, np.linspace(0.005, 1, 200)
)


def roc_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure | None:
    """ROC with a 95 % band over patients; one curve a class where there are more than two."""
    figure, axes = new_figure("How well it ranks: ROC", "found (sensitivity)")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance")
    if not _class_curves(axes, table, summary, "auroc", _ROC):
        return None
    axes.set_xlabel("false alarms (1 - specificity)")
    _unit_square(axes)
    _legend_of_curves(figure, axes, table, "lower right")
    return figure


def precision_recall_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure | None:
    """Precision against recall, with a 95 % band over patients."""
    figure, axes = new_figure(
        "How well it ranks: precision and recall", "right among called (precision)"
    )
    if not _class_curves(axes, table, summary, "average_precision", _PRECISION_RECALL):
        return None
    axes.set_xlabel("found (recall)")
    _unit_square(axes)
    _legend_of_curves(figure, axes, table, "lower left")
    return figure


def _class_curves(
    axes: Axes,
    table: PredictionTable,
    summary: Mapping[str, Any],
    area: str,
    curve: _Curve,
) -> bool:
    """Draws a curve a class (the last alone, of two) where it is defined; says whether any was."""
    shown = [len(table.classes) - 1] if len(table.classes) == 2 else range(len(table.classes))
    label = _area_label if len(shown) <= _MOST_IN_AXES else _short_area_label
    drawn = False
    for index in shown:
        ranking = metrics.Ranking(table.label == index, table.probabilities[:, index])
        name = table.classes[index]
        interval = summary["per_class"][name][area]
        if interval["value"] is None:
            continue
        drawn = True
        style = {"color": BLUE, "linestyle": "-"} if len(table.classes) == 2 else _line(index)
        band = _band(ranking, table.group, curve)
        if band is not None and len(shown) <= _MOST_IN_AXES:
            axes.fill_between(curve.grid, *band, color=style["color"], alpha=0.18, linewidth=0)
        axes.plot(
            *curve.steps(ranking),
            drawstyle=curve.drawstyle,
            linewidth=1.6,
            label=label(name, interval),
            **style,
        )
    return drawn


def _line(index: int) -> dict[str, Any]:
    """How the curve of one of several classes looks: lines repeat sooner than markers."""
    return {
        "color": class_color(index),
        "linestyle": _LINES[index % len(_LINES)],
        "marker": class_marker(index),
        "markersize": 5,
        "markevery": (0.01 * index, 0.12),
    }


def _area_label(name: str, interval: Mapping[str, Any]) -> str:
    # matplotlib shows no label that begins with "_", as a name may.
    label = f"area of {name}: {interval['value']:.3f}"
    if interval["low"] is not None:
        label += f"\n95 % interval {interval['low']:.3f} to {interval['high']:.3f}"
    return label


def _short_area_label(name: str, interval: Mapping[str, Any]) -> str:
    label = f"of {name}: {interval['value']:.3f}"
    if interval["low"] is not None:
        # On one line, wherever a long label is broken.
        label += f" ({interval['low']:.3f}\xa0to\xa0{interval['high']:.3f})"
    return label


def _legend_of_curves(figure: Figure, axes: Axes, table: PredictionTable, place: str) -> None:
    """Names the curves where there is room."""
    if len(table.classes) <= _MOST_IN_AXES:
        axes.legend(loc=place)
    else:
        legend_below(figure, axes, title="area (95 % interval)")


def _band(
    ranking: metrics.Ranking,
    groups: np.ndarray,
    curve: _Curve,
) -> tuple[np.ndarray, np.ndarray] | None:
    """2.5 and 97.5 % points of the curve at each place of the grid, drawing groups again."""
    heights = [
        curve.height_at(*curve.steps(ranking, drawn), curve.grid)
        for drawn in draw_groups(group_members(groups), repeats=_DRAWS)
        if ranking.auroc(drawn) is not None  # both kinds were drawn
    ]
    if len(heights) < 0.95 * _DRAWS:
        return None
    low, high = np.quantile(heights, [0.025, 0.975], axis=0)
    return low, high


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    axes.xaxis.set_major_formatter(percent_formatter())
    axes.yaxis.set_major_formatter(percent_formatter())

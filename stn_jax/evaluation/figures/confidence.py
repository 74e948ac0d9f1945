"""Photos by how sure the model was, right and wrong: the paper's Figure 3."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation.figures.legend import legend_below
from stn_jax.evaluation.figures.style import (
    GREY,
    class_color,
    class_marker,
    new_figure,
    percent_formatter,
)
from stn_jax.evaluation.intervals import group_members
from stn_jax.evaluation.table import PredictionTable
from stn_jax.evaluation.words import promised


def confidence_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure:
    """The paper's Figure 3: how sure the model was where it was right, and where it was wrong."""
    figure, axes = new_figure("How sure it was, right and wrong", "calibrated confidence")
    floor = 1 / len(table.classes)
    outcomes = (("right", table.correct), ("wrong", ~table.correct))
    for column, (_, chosen) in enumerate(outcomes):
        offsets = _swarm(table.confidence[chosen], floor)
        for index, name in enumerate(table.classes):
            own = table.predicted[chosen] == index
            axes.scatter(
                column + offsets[own],
                table.confidence[chosen][own],
                s=16,
                marker=class_marker(index),
                facecolor=class_color(index),
                edgecolor="white",
                linewidth=0.3,
                label=f"called {name}" if column == 0 else None,
            )
    _confidence_lines(axes, summary)
    axes.set_xticks([0, 1], [f"{name}: {int(chosen.sum())}" for name, chosen in outcomes])
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(floor - 0.02 * (1 - floor), 1 + 0.03 * (1 - floor))
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(percent_formatter())
    legend_below(figure, axes)
    return figure


def _confidence_lines(axes: Axes, summary: Mapping[str, Any]) -> None:
    cutoff = summary["paper_cutoff"]["threshold"]
    axes.axhline(cutoff, color=GREY, linewidth=1.2, linestyle=":", label=f"{promised(cutoff)} sure")
    threshold = summary["selective"]["threshold"]
    if threshold:
        axes.axhline(
            threshold, color="black", linewidth=1.2, linestyle="--", label="answers from here up"
        )


def _swarm(values: Float[np.ndarray, " photo"], floor: float) -> Float[np.ndarray, " photo"]:
    """Sideways offsets that keep photos of similar confidence apart, centred on 0."""
    bins = np.floor((values - floor) / (1 - floor) * 50).astype(int)
    counts = np.bincount(np.clip(bins, 0, None), minlength=1) if len(values) else np.zeros(1)
    step = min(0.03, 0.86 / max(1, counts.max()))
    offsets = np.zeros(len(values))
    for members in group_members(bins.astype(str)):
        order = members[np.argsort(values[members], kind="stable")]
        offsets[order] = (np.arange(len(order)) - (len(order) - 1) / 2) * step
    return offsets

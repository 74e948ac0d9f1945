"""The learned crop against others, with the same weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation import metrics
from stn_jax.evaluation.figures.style import BLUE, GREY, SIZE, percent_formatter
from stn_jax.evaluation.words import percent


def baselines_figure(summary: Mapping[str, Any]) -> Figure | None:
    """Accuracy of the same weights on the learned crop, a centre crop, and the shrunk photo."""
    baselines = summary["stn"]["baselines"]
    if not baselines:
        return None
    names = {"centre": "fixed centre crop", "whole": "whole photo, shrunk"}
    rows = [
        (summary.get("crop", "the learned zoom").removeprefix("the "), summary["accuracy"], None)
    ]
    rows += [(names[k], b["accuracy"], b["mcnemar"]["p"]) for k, b in baselines.items()]
    figure = Figure(figsize=(SIZE[0], 2.3), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Same weights, other crops")
    for row, (_, accuracy, p) in enumerate(rows):
        value, low, high = (accuracy[k] for k in ("value", "low", "high"))
        axes.plot([low, high], [row, row], color=BLUE if row == 0 else GREY, linewidth=2)
        axes.plot(
            [value],
            [row],
            marker="os^"[row],
            markersize=8,
            color=BLUE if row == 0 else GREY,
            linestyle="none",
        )
        text = percent(value) + (f"   p {_p_value(p)}" if p is not None else "")
        axes.annotate(
            text, (value, row), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=9
        )
    chance = metrics.commonest(summary["class_counts"])[1] / summary["n"]
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.75)
    axes.set_xlim(max(0, min(chance, *(a["low"] for _, a, _ in rows)) - 0.12), 1.03)
    _draw_chance(axes, chance)
    axes.xaxis.set_major_formatter(percent_formatter())
    axes.set_xlabel("right (bars: 95 % interval)")
    return figure


def _draw_chance(axes: Axes, chance: float) -> None:
    """Marks what always calling the commonest class reaches, with words where there is room."""
    axes.axvline(chance, color=GREY, linestyle=":", linewidth=1.2)
    to_left = chance > np.mean(axes.get_xlim())
    axes.annotate(
        "always the commonest class",
        (chance, axes.get_ylim()[0]),
        xytext=(-3 if to_left else 3, 3),
        ha="right" if to_left else "left",
        textcoords="offset points",
        fontsize=8,
        color=GREY,
    )


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

"""Error among answered photos against the share answered."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation import selective
from stn_jax.evaluation.figures.legend import legend_below
from stn_jax.evaluation.figures.style import BLUE, GREY, ORANGE, SKY, new_figure, percent_formatter
from stn_jax.evaluation.intervals import rate
from stn_jax.evaluation.table import PredictionTable
from stn_jax.evaluation.words import promised

_BAND_PLACES = 200
"""Shares of photos, at most, at which the band around the error is computed."""


def risk_coverage_figure(table: PredictionTable, summary: Mapping[str, Any]) -> Figure:
    """Error among answered photos against the share answered, with the chosen threshold."""
    figure, axes = new_figure(
        "When it may stay silent, how often is it wrong?", "wrong among answered"
    )
    coverage, risk = selective.risk_coverage(table.confidence, table.correct)
    accepted = np.rint(coverage * len(table)).astype(int)
    _draw_band(axes, table, accepted)
    axes.plot(coverage, risk, color=BLUE, linewidth=1.6, label="error")
    chosen, paper = summary["selective"], summary["paper_cutoff"]
    if chosen["target_error"] is not None:
        axes.axhline(
            chosen["target_error"],
            color=GREY,
            linestyle=":",
            linewidth=1.2,
            label=f"at most {promised(chosen['target_error'])}",
        )
    if chosen["accepted"]:
        _mark(axes, chosen["coverage"], 1 - chosen["accuracy"], "o", "black", "chosen threshold")
    if paper["accepted"]:
        wrong = 1 - paper["accuracy"]["value"]
        name = f"{promised(paper['threshold'])} sure (the paper)"
        _mark(axes, paper["coverage"], wrong, "D", ORANGE, name)
    axes.set_xlabel("answered, of all photos (surest first)")
    axes.set_xlim(0, 1.02)
    top = max([*risk[accepted >= 0.1 * len(table)], chosen["target_error"] or 0, 0.05])
    axes.set_ylim(-0.004, min(1.0, 2.2 * top))
    axes.xaxis.set_major_formatter(percent_formatter())
    axes.yaxis.set_major_formatter(percent_formatter())
    legend_below(figure, axes)
    return figure


def _draw_band(axes: Axes, table: PredictionTable, accepted: Int[np.ndarray, " step"]) -> None:
    """95 % intervals of the error among so many of the surest photos."""
    surest = np.argsort(-table.confidence, kind="stable")
    places = np.unique(np.linspace(0, len(accepted) - 1, _BAND_PLACES).astype(int))
    shown = accepted[places]
    limits = [rate(~table.correct[surest[:count]], table.group[surest[:count]]) for count in shown]
    axes.fill_between(
        shown / len(table),
        [limit.low for limit in limits],
        [limit.high for limit in limits],
        color=SKY,
        alpha=0.35,
        linewidth=0,
        label="95 % interval",
    )


def _mark(axes: Axes, x: float, y: float, marker: str, color: str, label: str) -> None:
    axes.plot(
        [x],
        [y],
        marker=marker,
        markersize=8,
        color=color,
        markeredgecolor="white",
        linestyle="none",
        label=label,
        zorder=5,
    )

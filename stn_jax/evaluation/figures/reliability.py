"""Accuracy against confidence, before calibration and after."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation.figures.style import BLUE, GREY, ORANGE, SIZE, SKY, percent_formatter

_Bin = Mapping[str, Any]


def reliability_figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against confidence, with intervals; on the diagonal the model means what it says."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    axes.set_title("Does it mean what it says?")
    bins = _filled(summary["reliability"])
    floor = summary["reliability"][0]["low"]
    axes.plot([floor, 1], [floor, 1], color=GREY, linewidth=1, linestyle=":", label="ideal")
    if before := summary["calibration"].get("before"):
        _draw_before(axes, _filled(before["test_reliability"]))
    _draw_calibrated(axes, bins)
    axes.set_ylabel("share right")
    axes.set_ylim(-0.03, 1.05)
    axes.yaxis.set_major_formatter(percent_formatter())
    axes.legend(loc="lower right")
    counts.bar(
        [b["low"] for b in bins],
        [b["n"] for b in bins],
        width=[b["high"] - b["low"] for b in bins],
        align="edge",
        color=SKY,
        edgecolor="white",
    )
    counts.set_ylabel("photos")
    counts.set_xlabel("confidence")
    counts.xaxis.set_major_formatter(percent_formatter())
    counts.set_xlim(floor - 0.01, 1.01)
    return figure


def _filled(bins: Sequence[_Bin]) -> list[_Bin]:
    """Those that hold a photo."""
    return [b for b in bins if b["n"]]


def _draw_before(axes: Axes, bins: Sequence[_Bin]) -> None:
    axes.plot(
        [b["confidence"] for b in bins],
        [b["accuracy"]["value"] for b in bins],
        color=ORANGE,
        marker="s",
        markerfacecolor="white",
        markersize=4.5,
        linewidth=1,
        linestyle="--",
        label="before calibration",
    )


def _draw_calibrated(axes: Axes, bins: Sequence[_Bin]) -> None:
    value, low, high = (
        np.array([b["accuracy"][k] for b in bins]) for k in ("value", "low", "high")
    )
    axes.errorbar(
        [b["confidence"] for b in bins],
        value,
        np.maximum([value - low, high - value], 0),
        color=BLUE,
        fmt="o-",
        markersize=5,
        linewidth=1.5,
        elinewidth=1,
        capsize=2.5,
        label="calibrated, 95 % interval",
    )

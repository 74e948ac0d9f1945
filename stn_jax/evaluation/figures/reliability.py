"""Accuracy against confidence, before calibration and after."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from stn_jax.evaluation.figures.style import BLUE, GREY, ORANGE, SIZE, SKY, percent_formatter


def reliability_figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against confidence, with intervals; on the diagonal the model means what it says."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    axes.set_title("Does it mean what it says?")
    bins = [b for b in summary["reliability"] if b["n"]]
    floor = summary["reliability"][0]["low"]
    axes.plot([floor, 1], [floor, 1], color=GREY, linewidth=1, linestyle=":", label="ideal")
    before = summary["calibration"].get("before")
    if before:
        raw = [b for b in before["test_reliability"] if b["n"]]
        axes.plot(
            [b["confidence"] for b in raw],
            [b["accuracy"]["value"] for b in raw],
            color=ORANGE,
            marker="s",
            markerfacecolor="white",
            markersize=4.5,
            linewidth=1,
            linestyle="--",
            label="before calibration",
        )
    x = np.array([b["confidence"] for b in bins])
    y = np.array([b["accuracy"]["value"] for b in bins])
    below = y - [b["accuracy"]["low"] for b in bins]
    above = np.array([b["accuracy"]["high"] for b in bins]) - y
    axes.errorbar(
        x,
        y,
        np.maximum([below, above], 0),
        color=BLUE,
        fmt="o-",
        markersize=5,
        linewidth=1.5,
        elinewidth=1,
        capsize=2.5,
        label="calibrated, 95 % interval",
    )
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

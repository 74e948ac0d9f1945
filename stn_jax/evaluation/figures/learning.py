"""Loss and accuracy while the model learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation.figures.style import BLUE, ORANGE, SIZE, SKY, STYLE, percent_formatter


def learning_curves(lines: Sequence[Mapping[str, Any]], best_step: int | None) -> Figure | None:
    """Loss and accuracy by step, from the lines of metrics.jsonl; None without any."""
    panels = [("loss", "loss"), ("accuracy", "right")]
    curves = {
        f"{split}/{name}": [
            (line["step"], line[f"{split}/{name}"]) for line in lines if f"{split}/{name}" in line
        ]
        for split in ("train", "val")
        for name, _ in panels
    }
    if not any(curves.values()):
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(SIZE[0], 4.4), layout="constrained")
        rows = figure.subplots(2, 1, sharex=True)
        for axes, (name, title) in zip(rows, panels, strict=True):
            _learning_panel(axes, curves[f"train/{name}"], curves[f"val/{name}"], best_step)
            axes.set_ylabel(title)
        rows[0].set_title("How it learned")
        rows[1].yaxis.set_major_formatter(percent_formatter())
        rows[1].set_xlabel("step (batches)")
        rows[0].legend(loc="upper right")
    return figure


def _learning_panel(
    axes: Axes, train: list[tuple[int, float]], val: list[tuple[int, float]], best: int | None
) -> None:
    if train:
        steps, values = np.array(train).T
        axes.plot(steps, values, color=SKY, linewidth=0.7, alpha=0.6)
        axes.plot(steps, smooth(values), color=BLUE, linewidth=1.5, label="training (smoothed)")
    if val:
        axes.plot(
            *np.array(val).T,
            color=ORANGE,
            marker="s",
            markersize=4,
            linestyle="--",
            label="validation",
        )
    if best is not None:
        axes.axvline(best, color="black", linestyle=":", linewidth=1.2, label="weights used here")


def smooth(values: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """A running mean over about a thirtieth of the run, shorter at the ends."""
    width, n = max(1, len(values) // 30), len(values)
    window = np.ones(2 * width + 1)
    sums, counts = (np.convolve(x, window)[width : width + n] for x in (values, np.ones(n)))
    return sums / counts

"""What was called what: the confusion matrix, with names that fit."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from stn_jax.evaluation.figures.style import new_figure
from stn_jax.evaluation.words import percent

_NAME_LETTERS = 18
"""On a line of a class's name beside a cell."""


def confusion_figure(summary: Mapping[str, Any]) -> Figure:
    """Photos by true class (rows) and by what they were called, with shares of each row."""
    counts, names = np.array(summary["confusion"]), summary["classes"]
    points = 14 if len(names) < 5 else 8
    figure, axes = new_figure("What was called what", None)
    rows = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / rows
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        weight = "bold" if row == column else "normal"
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{percent(float(shares[row, column]), 0)}",
            ha="center",
            va="center",
            fontsize=points,
            weight=weight,
            color="white" if shares[row, column] > 0.75 else "black",
        )
    axes.set_xlabel("called")
    axes.set_ylabel("truly")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    _name_cells(figure, axes, names, least=3.2 * points / 72)
    return figure


def _name_cells(figure: Figure, axes: Axes, names: Sequence[str], *, least: float) -> None:
    """Names rows and columns, and makes cells large enough for that; turns what is too wide.

    Args:
      figure: is enlarged as needed.
      axes: the matrix.
      names: of the classes.
      least: inches of a cell's side that what stands in it needs.
    """
    count, gap = len(names), 0.08 * figure.dpi
    wrapped = [textwrap.fill(name, _NAME_LETTERS) for name in names]
    axes.set_yticks(range(count), wrapped)
    axes.set_xticks(range(count), wrapped)
    figure.draw_without_rendering()
    if _largest(axes.get_xticklabels(), "width") + gap > axes.bbox.width / count:
        axes.set_xticks(range(count), wrapped, rotation=90, multialignment="right")
        figure.draw_without_rendering()
    sides = (_largest(axes.get_xticklabels(), "width"), _largest(axes.get_yticklabels(), "height"))
    wanted = count * np.maximum(np.add(sides, gap), least * figure.dpi)
    missing = np.maximum(wanted - axes.bbox.size, 0)
    figure.set_size_inches(figure.get_size_inches() + missing / figure.dpi)


def _largest(labels: Sequence[Text], side: str) -> float:
    """The largest width or height of drawn texts, in dots."""
    return max(getattr(label.get_window_extent(), side) for label in labels)

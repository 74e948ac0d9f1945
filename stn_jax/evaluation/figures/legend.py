"""Legends below a figure, which grows with them."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

_LEGEND_LETTERS = 58
"""On a line of a legend below, at most: as wide as a figure."""
_LEGEND_HEIGHT = 0.6
"""Inches of a legend below that a figure has room for; it grows by what one is higher."""


def legend_below(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """Puts the legend below, in one column where two are too wide; the figure grows with it."""
    legend = _add_legend_below(figure, axes, title, columns=2)
    if legend.get_window_extent().width > figure.bbox.width:
        legend.remove()
        legend = _add_legend_below(figure, axes, title, columns=1)
    height = legend.get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + max(0, height - _LEGEND_HEIGHT))


def _add_legend_below(figure: Figure, axes: Axes, title: str | None, columns: int) -> Legend:
    handles, labels = axes.get_legend_handles_labels()
    return figure.legend(
        handles,
        [textwrap.fill(label, _LEGEND_LETTERS) for label in labels],
        title=title,
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
        title_fontsize=8.5,
        alignment="left",
    )

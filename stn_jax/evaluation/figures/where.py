"""Where on the photos the model looked."""

import matplotlib
import matplotlib.patches
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn_jax.evaluation.figures.legend import legend_below
from stn_jax.evaluation.figures.style import BLUE, ORANGE, SIZE, STYLE, new_figure
from stn_jax.evaluation.table import PredictionTable


def where_figure(table: PredictionTable, photo_size: tuple[int, int]) -> Figure | None:
    """Outlines of all areas of interest on the photo's frame; None where they are unknown."""
    known = table.area[np.isfinite(table.area).all(axis=(1, 2))]
    if not len(known):
        return None
    height, width = photo_size
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure("Where it looks", None)
        shown = known[np.linspace(0, len(known) - 1, min(len(known), 150)).astype(int)]
        for area in shown:
            axes.add_patch(
                matplotlib.patches.Polygon(
                    area, closed=True, fill=False, edgecolor=BLUE, alpha=0.13
                )
            )
        axes.plot(
            *known.mean(axis=1).T,
            marker=".",
            markersize=3,
            color=ORANGE,
            linestyle="none",
            label="centre of each area of interest",
        )
        _draw_frame(axes, width, height)
        _keep_near_photo(axes, shown, width, height)
        shape = np.diff(axes.get_ylim()[::-1])[0] / np.diff(axes.get_xlim())[0]
        figure.set_size_inches(SIZE[0], (SIZE[0] - 0.6) * shape + 1.3)
        axes.set_xlabel("pixels")
        axes.grid(visible=False)
        legend_below(figure, axes)
    return figure


def _draw_frame(axes: Axes, width: int, height: int) -> None:
    axes.add_patch(
        matplotlib.patches.Rectangle(
            (0, 0), width, height, fill=False, edgecolor="black", linewidth=1.5, label="photo"
        )
    )


def _keep_near_photo(
    axes: Axes, shown: Float[np.ndarray, "photo 4 2"], width: int, height: int
) -> None:
    """Shows the photo, and of the areas what lies within a photo's size of it."""
    low, high = shown.min(axis=(0, 1)), shown.max(axis=(0, 1))
    margin = 0.04 * width
    axes.set_xlim(
        min(0, max(low[0], -width)) - margin, max(width, min(high[0], 2 * width)) + margin
    )
    axes.set_ylim(
        max(height, min(high[1], 2 * height)) + margin, min(0, max(low[1], -height)) - margin
    )
    axes.set_aspect("equal")

"""Photos with areas outlined on them, for every figure that shows one."""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

OUTLINE = "#ffd400"
"""Of the area of interest: a yellow that neither skin nor lesions have."""
MARK, MARK_COLOR = "SYNTHETIC photos", "#d55e00"
"""What figures of generated photos say of themselves, so that nobody takes them for skin."""


def show(axes: Axes, pixels: UInt8[np.ndarray, "height width channel"]) -> None:
    """Shows pixels without any ticks; grey ones as they are, not stretched from black to white."""
    axes.imshow(pixels.squeeze(), cmap="gray" if pixels.shape[-1] == 1 else None, vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def outline_photo(
    axes: Axes,
    photo: UInt8[np.ndarray, "height width channel"],
    area: Float[np.ndarray, "4 2"],
    *,
    lesion: Float[np.ndarray, "4 2"] | None = None,
) -> None:
    """Shows a photo with its area of interest outlined, and the lesion's true box where known.

    Args:
      axes: where to draw.
      photo: the pixels.
      area: corners (x, y) of the area of interest, in pixels of the photo; one without bounds, as
        a projective map's that reaches the horizon, has no outline.
      lesion: corners of the lesion's box, likewise.
    """
    show(axes, photo)
    if lesion is not None:
        _outline(axes, lesion, "white", "--")
    if np.isfinite(area).all():
        _outline(axes, area, OUTLINE, "-")
    height, width = photo.shape[:2]
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def _outline(axes: Axes, corners: Float[np.ndarray, "4 2"], color: str, line: str) -> None:
    # A pixel's middle is at a whole number here, and at a half in areas.
    closed = np.concatenate([corners, corners[:1]]) - 0.5
    axes.plot(*closed.T, color="black", linewidth=2.8, linestyle=line)
    axes.plot(*closed.T, color=color, linewidth=1.4, linestyle=line)

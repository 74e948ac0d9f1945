"""Where a photo comes to lie in the size that is wanted, and the way back."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

Fit = Literal["pad", "crop", "stretch"]


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo at the configured size, and the way back to the file it came from.

    Attributes:
      pixels: uint8, 0..255, height x width x channel: RGB, or grey.
      original_size: (height, width) of the upright photo (EXIF orientation applied) in its file.
      scale: (x, y): pixels here for one pixel of the upright photo, after `turned`.
      offset: (x, y): where the upright photo's left upper corner lies here, after `turned`;
        positive with `fit=pad`, negative with `fit=crop`.
      turned: the upright photo was turned a quarter counter-clockwise to fit (`rotate_to_fit`).
    """

    pixels: UInt8[np.ndarray, "height width channel"]
    original_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    turned: bool

    def to_original(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Maps (x, y) positions in `pixels` to positions in the upright photo of the file.

        Args:
          points: continuous positions; (0, 0) is the outer corner of the first pixel.
        """
        there = (np.asarray(points, np.float64) - self.offset) / self.scale
        if self.turned:
            x, y = there[..., 0], there[..., 1]
            there = np.stack([self.original_size[1] - y, x], axis=-1)
        return there


def placement(
    shown: tuple[int, int], size: tuple[int, int], fit: Fit
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Part of the photo to use, as (left, top, right, bottom), and the (width, height) it gets."""
    width, height = shown
    whole = (0.0, 0.0, float(width), float(height))
    wanted = (size[1], size[0])
    if fit == "stretch":
        return whole, wanted
    factors = (wanted[0] / width, wanted[1] / height)
    if fit == "pad":
        factor = min(factors)
        inner = tuple(
            min(limit, max(1, round(side * factor)))
            for side, limit in zip(shown, wanted, strict=True)
        )
        return whole, inner
    factor = max(factors)
    cut = (min(width, wanted[0] / factor), min(height, wanted[1] / factor))
    left, top = (width - cut[0]) / 2, (height - cut[1]) / 2
    return (left, top, left + cut[0], top + cut[1]), wanted


def pad(
    pixels: UInt8[np.ndarray, "height width channel"],
    size: tuple[int, int],
    fill_color: tuple[float, ...],
) -> UInt8[np.ndarray, "padded_height padded_width channel"]:
    """Centres `pixels` in a field of `fill_color` (0..255, rounded) of the given size."""
    height, width = pixels.shape[:2]
    top, left = padding((height, width), size)
    field = np.empty((*size, pixels.shape[2]), np.uint8)
    color = np.rint(fill_color).astype(np.uint8)
    field[:top] = field[top + height :] = color
    field[top : top + height, :left] = field[top : top + height, left + width :] = color
    field[top : top + height, left : left + width] = pixels
    return field


def padding(inner: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Rows above and columns left of a photo of size `inner` centred in `size`."""
    return (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2

"""Generated stand-in photos: skin with a small lesion whose class shows only in fine texture.

They make the whole project runnable without a hospital's photos, and they are a fair test of a
network that zooms: the lesion is easy to find in a shrunk photo, but what it is cannot be told
there. The two classes share position, size, shape and redness; only the detail inside the lesion
differs (bright streaks against dark dots), and that detail averages to zero over every block of
`shrink` x `shrink` pixels. Area-averaging the photo by `shrink` therefore removes the class, up to
the rounding to whole grey levels; reading the lesion at full resolution shows it at a glance.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from stn_jax.data.painting import (
    HEIGHT,
    Plane,
    Planes,
    check_number,
    hair_cover,
    knots_for,
    paint_hair,
    paint_skin,
    random_direction,
    smooth_field,
    stamp,
)

CLASSES = ("scales", "vesicles")
"""Names of the labels 0 and 1: bright, broken streaks; dark dots."""

# The texture's lengths belong to this shrink factor, not to the photo's height as all others do, so
# that a larger photo of the same factor has finer detail.
_SHRINK = 3.0

_REDNESS = np.array([0.02, -0.17, -0.14], np.float32)
_MOLE = np.array([-0.26, -0.29, -0.27], np.float32)
_DETAIL = np.array([0.75, 1.0, 1.0], np.float32)  # streaks turn whitish, dots dark red
_EDGE_SOFTNESS = (0.8, 1.3)  # of the lesion, by class


class SyntheticPhoto(NamedTuple):
    """One generated photo and the truth about it.

    Attributes:
      photo: RGB, 0..255.
      label: index into `CLASSES`.
      box: the lesion's (x0, y0, x1, y1) in photo pixels; x1 and y1 are exclusive edges.
    """

    photo: UInt8[np.ndarray, "height width 3"]
    label: int
    box: Float32[np.ndarray, "4"]


class _Lesion(NamedTuple):
    """Where a lesion lies and how its outline runs, in pixels."""

    centre: tuple[float, float]  # (x, y) of the polar outline's origin
    radii: tuple[float, float]
    waves: Float[np.ndarray, "orders 2"]  # amplitude and phase of the outline, orders 2, 3, ...
    box: Float32[np.ndarray, "4"]
    strength: float  # of the redness


def generate_photo(
    index: int, *, size: tuple[int, int], shrink: int = 3, seed: int
) -> SyntheticPhoto:
    """Generates the photo number `index` of the endless set that `seed` names.

    A pure function of its arguments: the same ones give the same bytes. Even numbers are scales,
    odd ones vesicles. The layout (skin, lesion, moles) hardly depends on `size`.

    Args:
      index: number of the photo, from 0.
      size: height and width in pixels, each at least 8 * `shrink`.
      shrink: factor by which area-averaging the photo hides the class; 1 hides nothing.
      seed: a non-negative number that names the set.

    Raises:
      ValueError: for a negative index or seed, a shrink below 1, or too small a size.
    """
    check_number(index, seed)
    if shrink < 1:
        raise ValueError(f"shrink {shrink} must be at least 1")
    if min(size) < 8 * shrink:
        raise ValueError(
            f"size {size[0]}x{size[1]} is too small for a lesion whose texture hides at shrink "
            f"{shrink}: each side needs at least {8 * shrink} pixels"
        )
    return _render(index % 2, index, size=size, shrink=shrink, seed=seed)


def _render(
    label: int, index: int, *, size: tuple[int, int], shrink: int, seed: int
) -> SyntheticPhoto:
    # A stream for each part, so that none shifts the draws of another: apart from the texture,
    # nothing that is drawn depends on the label.
    layout, surface, overlay, texture = (
        np.random.default_rng([seed, index, part]) for part in range(4)
    )
    lesion = _draw_lesion(layout, size, shrink)
    planes = paint_skin(surface, size)
    _paint_distractors(layout, planes, lesion)
    hair = hair_cover(overlay, size)
    _paint_lesion(texture, planes, lesion, hair, label=label, shrink=shrink)
    photo = np.empty((*size, 3), np.uint8)
    for channel, plane in enumerate(planes):
        photo[..., channel] = plane + np.float32(0.5)
    return SyntheticPhoto(photo, label, lesion.box)


def _draw_lesion(rng: np.random.Generator, size: tuple[int, int], shrink: int) -> _Lesion:
    """Draws an irregular ellipse that lies in the part of the photo that whole blocks cover."""
    height, width = (side // shrink * shrink for side in size)
    area = np.exp(rng.uniform(np.log(0.03), np.log(0.12))) * height * width
    aspect = np.exp(rng.uniform(-0.35, 0.35))
    sides = np.sqrt([area * aspect, area / aspect])
    sides = np.minimum(sides, [0.9 * width, 0.9 * height])
    orders = np.arange(2, 7)
    waves = np.stack(
        [rng.uniform(0.02, 0.2, 5) / (orders - 1), rng.uniform(0, 2 * np.pi, 5)], axis=1
    )
    angles = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    outline = _outline(waves, angles) * np.stack([np.cos(angles), np.sin(angles)])
    low, high = outline.min(axis=1), outline.max(axis=1)
    radii = sides / (high - low)
    corner = rng.uniform(0, 1, 2) * ([width, height] - sides)
    centre = corner - radii * low
    box = np.concatenate([corner, corner + sides]).astype(np.float32)
    return _Lesion(tuple(centre), tuple(radii), waves, box, rng.uniform(0.8, 1.3))


def _outline(waves: np.ndarray, angles: np.ndarray) -> np.ndarray:
    radius = np.ones_like(angles)
    for order, (amplitude, phase) in enumerate(waves.astype(angles.dtype), start=2):
        radius += amplitude * np.cos(order * angles + phase)
    return radius


def _paint_distractors(rng: np.random.Generator, planes: Planes, lesion: _Lesion) -> None:
    """Paints moles and red patches, smaller than the lesion and away from it."""
    height, width = planes.shape[1:]
    unit = height / HEIGHT
    x0, y0, x1, y1 = lesion.box
    for _ in range(rng.integers(2, 6)):
        is_mole = rng.uniform() < 0.6
        radius = unit * (rng.uniform(1.8, 4.5) if is_mole else rng.uniform(4, 9))
        x, y = rng.uniform(0, 1, 2) * [width, height]
        depth = rng.uniform(0.55, 1.0)
        gap = max(x0 - x, x - x1, y0 - y, y - y1)
        if gap < radius * 1.5:
            continue
        shift = depth * (_MOLE if is_mole else 0.8 * _REDNESS)
        _paint_spot(rng, planes, 255 * shift, (x, y), radius, edge=0.15 if is_mole else 0.35)


def _paint_spot(
    rng: np.random.Generator,
    planes: Planes,
    shift: Float32[np.ndarray, "3"],
    centre: tuple[float, float],
    radius: float,
    *,
    edge: float,
) -> None:
    """Shifts the colour inside an ellipse whose edge is soft over this part of the radius."""
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(-0.25, 0.25))
    reach = int(np.ceil(1.9 * radius)) + 1
    rows, columns = (
        slice(max(0, int(at) - reach), max(0, int(at) + reach)) for at in (centre[1], centre[0])
    )
    window = planes[:, rows, columns]
    y = np.arange(rows.start, rows.start + window.shape[1], dtype=np.float32)[:, None] + 0.5
    x = np.arange(columns.start, columns.start + window.shape[2], dtype=np.float32) + 0.5
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    across = (cos * x + sin * y) * np.float32(stretch)
    along = (cos * y - sin * x) / np.float32(stretch)
    distance = np.sqrt(across**2 + along**2) / np.float32(radius)
    cover = np.clip((1 + edge - distance) / (2 * edge), 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    window += cover * shift[:, None, None]


def _paint_lesion(
    rng: np.random.Generator,
    planes: Planes,
    lesion: _Lesion,
    hair: Plane,
    *,
    label: int,
    shrink: int,
) -> None:
    """Paints the lesion and the hairs; all that the class decides is free of block means.

    The redness has one softness at the edge for both classes; the sharper or softer edge, the
    texture and the hair in front of them are added together and lose their block means together.
    """
    rows, columns = _whole_blocks(lesion.box, planes.shape[1:], shrink)
    window, hair_here = planes[:, rows, columns], hair[rows, columns]
    depth = _depth(lesion, rows, columns)
    unit = max(shrink, _SHRINK) / _SHRINK
    covers = [_ramp(depth / (softness * unit)) for softness in _EDGE_SOFTNESS]
    common = (covers[0] + covers[1]) / 2
    redness = (255 * lesion.strength * _REDNESS).astype(np.float32)[:, None, None]
    spacing = 5 * planes.shape[1] / HEIGHT
    mottle = 255 * 0.04 * smooth_field(rng, knots_for(depth.shape, spacing), depth.shape)
    window += common * (redness + mottle)
    paint_hair(planes, hair)

    period = unit * np.exp(rng.uniform(np.log(2.8), np.log(5.0)))
    contrast = 255 * rng.uniform(0.17, 0.25)
    pattern = (_streaks, _dots)[label](rng, depth.shape, period)
    detail = _without_block_means(covers[label] * (pattern - pattern.mean()), shrink)
    inner = detail[covers[label] > 0.5]
    detail *= contrast / inner.std()
    detail = detail * _DETAIL[:, None, None] + (covers[label] - common) * redness
    detail = _without_block_means(detail * (1 - hair_here), shrink)
    np.clip(planes, 0, 255, out=planes)
    window += detail * _room(window, detail, shrink)


def _whole_blocks(
    box: np.ndarray, size: tuple[int, int], shrink: int, margin: int = 4
) -> tuple[slice, slice]:
    """Finds the rows and columns of whole blocks that hold the box and a margin."""
    spans = []
    for low, high, side in ((box[1], box[3], size[0]), (box[0], box[2], size[1])):
        start = max(0, int(low) - margin) // shrink * shrink
        stop = -(-(int(np.ceil(high)) + margin) // shrink) * shrink
        spans.append(slice(start, min(stop, side // shrink * shrink)))
    return spans[0], spans[1]


def _depth(lesion: _Lesion, rows: slice, columns: slice) -> Plane:
    """Measures how deep each pixel lies inside the outline, in pixels; negative outside."""
    x = (np.arange(columns.start, columns.stop) + 0.5 - lesion.centre[0]) / lesion.radii[0]
    y = (np.arange(rows.start, rows.stop) + 0.5 - lesion.centre[1]) / lesion.radii[1]
    x, y = np.float32(x), np.float32(y)[:, None]
    outline = _outline(lesion.waves, np.arctan2(y, x))
    return (outline - np.sqrt(x * x + y * y)) * np.float32(np.sqrt(np.prod(lesion.radii)))


def _ramp(depth: Plane) -> Plane:
    return 0.5 + 0.5 * np.tanh(depth)


def _streaks(rng: np.random.Generator, size: tuple[int, int], period: float) -> Plane:
    """Draws bright, wavy streaks, broken into pieces; 0..1."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    cos, sin = (np.float32(part) for part in random_direction(rng))
    across, along = cos * x + sin * y, cos * y - sin * x
    bend = np.float32(rng.uniform(0.3, 0.6) * period) * np.sin(
        along * np.float32(2 * np.pi / (rng.uniform(5, 9) * period))
    )
    wander = np.float32(0.35 * period) * smooth_field(rng, knots_for(size, 3 * period), size)
    phase = (across + bend + wander) * np.float32(2 * np.pi / period)
    pieces = smooth_field(rng, knots_for(size, 1.1 * period), size)
    return (0.5 + 0.5 * np.cos(phase)) * np.clip(0.8 + 0.9 * pieces, 0, 1)


def _dots(rng: np.random.Generator, size: tuple[int, int], period: float) -> Plane:
    """Draws dark dots on a jittered grid of rows that are shifted by half a step; -1..0."""
    step = 1.3 * period
    row, column = np.mgrid[-1 : size[0] / step + 1, -1 : size[1] / step + 1]
    x = (column + 0.5 * (row % 2)) * step
    jitter = rng.uniform(-0.22, 0.22, (2, *row.shape)) * step
    x, y = (x + jitter[0]).ravel(), (row * step + jitter[1]).ravel()
    sigma = 0.25 * period
    at, distance = stamp(x, y, size, reach=int(np.ceil(2.5 * sigma)))
    ink = np.exp(-0.5 * (distance / sigma) ** 2) * rng.uniform(0.6, 1.4, (len(x), 1))
    inside = at >= 0
    dark = np.bincount(at[inside], ink[inside], minlength=size[0] * size[1])
    return -dark.reshape(size).astype(np.float32)


def _without_block_means(
    detail: Float32[np.ndarray, "*planes height width"], shrink: int
) -> Float32[np.ndarray, "*planes height width"]:
    """Subtracts from each pixel the mean of its block; blocks of one pixel are left alone."""
    if shrink == 1:
        return detail
    blocks = _blocks(detail, shrink)
    return (blocks - blocks.mean(axis=(-3, -1), keepdims=True)).reshape(detail.shape)


def _room(window: Planes, detail: Planes, shrink: int) -> Planes:
    """Finds, block by block, the factor at which the detail just stays within 0..255.

    Clipping instead would give the detail a mean, of a sign that betrays the class.
    """
    limit = np.where(detail > 0, 255 - window, window)
    factor = np.minimum(1, limit / np.maximum(np.abs(detail), 1e-3))
    blocks = _blocks(factor, shrink).min(axis=(-3, -1))
    return blocks.repeat(shrink, axis=-2).repeat(shrink, axis=-1)


def _blocks(planes: np.ndarray, shrink: int) -> np.ndarray:
    *leading, height, width = planes.shape
    return planes.reshape(*leading, height // shrink, shrink, width // shrink, shrink)

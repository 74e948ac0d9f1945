"""Generated stand-in photos: skin with a small lesion whose class shows only in fine texture.

They make the whole project runnable without a hospital's photos, and they are a fair test of a
network that zooms: the lesion is easy to find in a shrunk photo, but what it is cannot be told
there. The two classes share position, size, shape and redness; only the detail inside the lesion
differs (bright streaks against dark dots), and that detail averages to zero over every block of
`shrink` x `shrink` pixels. Area-averaging the photo by `shrink` therefore removes the class, up to
the rounding to whole grey levels; reading the lesion at full resolution shows it at a glance.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

CLASSES = ("scales", "vesicles")
"""Names of the labels 0 and 1: bright, broken streaks; dark dots."""

# Lengths are in pixels of a photo of this height, and grow with the photo. The texture's lengths
# belong to this shrink factor instead, so that a larger photo of the same factor has finer detail.
_HEIGHT = 126.0
_SHRINK = 3.0

_LIGHT_SKIN = np.array([0.88, 0.72, 0.62], np.float32)
_DARK_SKIN = np.array([0.56, 0.40, 0.31], np.float32)
_REDNESS = np.array([0.02, -0.17, -0.14], np.float32)
_MOLE = np.array([-0.26, -0.29, -0.27], np.float32)
_DETAIL = np.array([0.75, 1.0, 1.0], np.float32)  # streaks turn whitish, dots dark red
_EDGE_SOFTNESS = (0.8, 1.3)  # of the lesion, by class

Plane = Float32[np.ndarray, "height width"]
Planes = Float32[np.ndarray, "3 height width"]


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
    if index < 0 or seed < 0:
        raise ValueError(f"index {index} and seed {seed} must not be negative")
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
    planes = _paint_skin(surface, size)
    _paint_distractors(layout, planes, lesion)
    hair = _hair_cover(overlay, size)
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


def _paint_skin(rng: np.random.Generator, size: tuple[int, int]) -> Planes:
    """Paints shaded, blotchy skin with pixel noise, as RGB planes in 0..255."""
    height, width = size
    colour = _LIGHT_SKIN + rng.uniform(0, 1) * (_DARK_SKIN - _LIGHT_SKIN)
    colour = colour + rng.normal(0, 0.02, 3)
    slope = rng.uniform(0, 0.12) * np.array(_direction(rng))
    shade = 0.1 * _smooth_field(rng, (3, 4), size)
    shade += np.linspace(-slope[1], slope[1], height, dtype=np.float32)[:, None]
    shade += np.linspace(-slope[0], slope[0], width, dtype=np.float32)
    np.clip(shade, -0.3, 0.15, out=shade)
    shade += rng.uniform(0.015, 0.03) * _smooth_field(rng, (28, 42), size)
    blush = rng.uniform(0.008, 0.016) * _smooth_field(rng, (9, 14), size)
    noise = np.frombuffer(rng.bytes(3 * height * width), np.uint8).reshape(3, height, width)
    # A byte's 256 equal steps, scaled to a standard deviation of .018 of the full range.
    step = np.float32(0.018 * np.sqrt(12))
    planes = np.multiply(noise, step, dtype=np.float32)
    for plane, level, red in zip(planes, 255 * colour, (0.3, -1.0, -0.8), strict=True):
        light = shade + np.float32(red) * blush
        light *= np.float32(level)
        light += np.float32(level - 127.5 * step)
        plane += light
    return planes


def _paint_distractors(rng: np.random.Generator, planes: Planes, lesion: _Lesion) -> None:
    """Paints moles and red patches, smaller than the lesion and away from it."""
    height, width = planes.shape[1:]
    unit = height / _HEIGHT
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


def _hair_cover(rng: np.random.Generator, size: tuple[int, int]) -> Plane:
    """Draws 0 to 6 bent hairs; returns how much of each pixel they cover, 0..1."""
    height, width = size
    unit = height / _HEIGHT
    cover = np.zeros(height * width, np.float32)
    for _ in range(rng.integers(0, 7)):
        start = rng.uniform(0, 1, 2) * [width, height]
        length = unit * rng.uniform(30, 80)
        angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.8, 0.8)
        radius = unit * rng.uniform(0.3, 0.5)
        opacity = np.float32(rng.uniform(0.5, 0.85))
        along = np.linspace(0, 1, max(2, int(1.5 * length)))
        direction = angle + bend * along
        x = start[0] + length * np.cumsum(np.cos(direction)) / len(along)
        y = start[1] + length * np.cumsum(np.sin(direction)) / len(along)
        thickness = radius * (1 - 0.6 * along**2)
        at, distance = _stamp(x, y, size, reach=int(np.ceil(radius + 0.5)))
        ink = opacity * np.clip(thickness[:, None] + 0.5 - distance, 0, 1)
        inside = at >= 0
        np.maximum.at(cover, at[inside], ink[inside].astype(np.float32))
    return cover.reshape(size)


def _stamp(
    x: np.ndarray, y: np.ndarray, size: tuple[int, int], *, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the pixels around points: their flat positions (-1 outside) and distances."""
    offsets = np.arange(-reach, reach + 1)
    columns = np.floor(x).astype(np.int64)[:, None] + offsets
    rows = np.floor(y).astype(np.int64)[:, None] + offsets
    dx = (columns + 0.5 - x[:, None]).astype(np.float32)
    dy = (rows + 0.5 - y[:, None]).astype(np.float32)
    distance = np.sqrt(dx[:, None, :] ** 2 + dy[:, :, None] ** 2)
    inside = ((rows >= 0) & (rows < size[0]))[:, :, None] & ((columns >= 0) & (columns < size[1]))[
        :, None, :
    ]
    at = np.where(inside, rows[:, :, None] * size[1] + columns[:, None, :], -1)
    return at.reshape(len(x), -1), distance.reshape(len(x), -1)


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
    spacing = 5 * planes.shape[1] / _HEIGHT
    mottle = 255 * 0.04 * _smooth_field(rng, _knots(depth.shape, spacing), depth.shape)
    window += common * (redness + mottle)
    planes *= 1 - hair
    planes += hair * np.array([34.0, 24.0, 20.0], np.float32)[:, None, None]

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
    cos, sin = (np.float32(part) for part in _direction(rng))
    across, along = cos * x + sin * y, cos * y - sin * x
    bend = np.float32(rng.uniform(0.3, 0.6) * period) * np.sin(
        along * np.float32(2 * np.pi / (rng.uniform(5, 9) * period))
    )
    wander = np.float32(0.35 * period) * _smooth_field(rng, _knots(size, 3 * period), size)
    phase = (across + bend + wander) * np.float32(2 * np.pi / period)
    pieces = _smooth_field(rng, _knots(size, 1.1 * period), size)
    return (0.5 + 0.5 * np.cos(phase)) * np.clip(0.8 + 0.9 * pieces, 0, 1)


def _dots(rng: np.random.Generator, size: tuple[int, int], period: float) -> Plane:
    """Draws dark dots on a jittered grid of rows that are shifted by half a step; -1..0."""
    step = 1.3 * period
    row, column = np.mgrid[-1 : size[0] / step + 1, -1 : size[1] / step + 1]
    x = (column + 0.5 * (row % 2)) * step
    jitter = rng.uniform(-0.22, 0.22, (2, *row.shape)) * step
    x, y = (x + jitter[0]).ravel(), (row * step + jitter[1]).ravel()
    sigma = 0.25 * period
    at, distance = _stamp(x, y, size, reach=int(np.ceil(2.5 * sigma)))
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


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


def _knots(size: tuple[int, int], spacing: float) -> tuple[int, int]:
    return tuple(int(side / spacing) + 2 for side in size)


def _smooth_field(rng: np.random.Generator, knots: tuple[int, int], size: tuple[int, int]) -> Plane:
    """Draws a random surface of standard deviation about 1 that bends once between knots."""
    values = rng.standard_normal((knots[0] + 2, knots[1] + 2), dtype=np.float32)
    rows, columns = (_spline(count, side) for count, side in zip(knots, size, strict=True))
    return rows @ values @ columns.T


@functools.lru_cache(maxsize=64)
def _spline(knots: int, samples: int) -> Float32[np.ndarray, "samples knots_and_ends"]:
    """Builds the matrix that spreads knot values over samples with a cubic B-spline."""
    at = np.linspace(1, knots, samples)[:, None]
    distance = np.abs(at - np.arange(knots + 2))
    near, far = 2 / 3 - distance**2 * (1 - distance / 2), (2 - distance) ** 3 / 6
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    # Squared weights sum to 151/315 on average: divided by its root, the field keeps its spread.
    return np.float32(weights / np.sqrt(151 / 315))

"""Where the crop lies on the photo: overlaps with a lesion, and the same in words.

An area of interest is the crop's outline: corners [4, 2] in photo pixels (x, y), clockwise from
the crop's top left; infinite where a projective map reaches the horizon. A box is (x0, y0, x1, y1)
in photo pixels. Sizes are (height, width).
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Shaped


def is_bounded(area: Shaped[np.ndarray, "4 2"]) -> bool:
    """Whether all corners are known and none is infinitely far away."""
    return bool(np.isfinite(area).all())


def box_corners(box: Shaped[np.ndarray, "4"]) -> Float[np.ndarray, "4 2"]:
    """Corners of a box, clockwise from its top left."""
    x0, y0, x1, y1 = (float(side) for side in box)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def polygon_area(corners: Shaped[np.ndarray, "corner 2"]) -> float:
    """Area of a simple polygon, in square pixels (the shoelace formula)."""
    x, y = corners.astype(np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def intersection_area(area: Shaped[np.ndarray, "4 2"], box: Shaped[np.ndarray, "4"]) -> float:
    """Area common to an area of interest and a box, in square pixels.

    Cuts the polygon at each side of the box in turn (Sutherland and Hodgman 1974).
    """
    x0, y0, x1, y1 = (float(side) for side in box)
    polygon = [tuple(map(float, corner)) for corner in area]
    for axis, limit, sign in ((0, x0, 1), (0, x1, -1), (1, y0, 1), (1, y1, -1)):
        polygon = _cut(polygon, axis, limit, sign)
    return polygon_area(np.array(polygon)) if len(polygon) > 2 else 0.0


def _cut(
    polygon: list[tuple[float, float]], axis: int, limit: float, sign: int
) -> list[tuple[float, float]]:
    """Keeps the part of a polygon where sign * (coordinate - limit) >= 0."""
    kept = []
    for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        before, after = sign * (start[axis] - limit), sign * (end[axis] - limit)
        if before >= 0:
            kept.append(start)
        if before * after < 0:
            part = before / (before - after)
            kept.append(
                (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))
            )
    return kept


def share_outside(area: Shaped[np.ndarray, "4 2"], photo_size: tuple[int, int]) -> float:
    """Share of the crop that lies beyond the photo's edges, in [0, 1]."""
    total = polygon_area(area)
    if total == 0:
        return 0.0
    height, width = photo_size
    inside = intersection_area(area, np.array([0, 0, width, height]))
    return max(0.0, 1 - inside / total)


def share_covered(area: Shaped[np.ndarray, "4 2"], photo_size: tuple[int, int]) -> float:
    """Area of the crop as a share of the photo's area; above 1 where it reaches beyond."""
    return polygon_area(area) / (photo_size[0] * photo_size[1])


def zoom(area: Shaped[np.ndarray, "4 2"], photo_size: tuple[int, int]) -> float:
    """How much larger things appear than in the whole photo, along a side; infinite for a line."""
    covered = share_covered(area, photo_size)
    return math.inf if covered == 0 else 1 / math.sqrt(covered)


def lesion_overlap(
    area: Shaped[np.ndarray, "4 2"], lesion: Shaped[np.ndarray, "4"]
) -> tuple[float, float, bool]:
    """Share of the lesion's box inside the crop, their IoU, and whether its centre is inside."""
    common = intersection_area(area, lesion)
    size = polygon_area(box_corners(lesion))
    union = size + polygon_area(area) - common
    centre = (lesion[:2] + lesion[2:]) / 2
    return common / size, common / union, bool(contains(area, centre))


def contains(
    area: Shaped[np.ndarray, "4 2"], points: Shaped[np.ndarray, "*points 2"]
) -> Bool[np.ndarray, "*points"]:
    """Whether points lie inside a convex area, its edge included, whichever way round it is.

    Nothing lies inside an area that has collapsed.
    """
    sides = np.roll(area, -1, axis=0) - area
    to_points = points[..., None, :] - area
    turns = sides[:, 0] * to_points[..., 1] - sides[:, 1] * to_points[..., 0]
    inside = (turns >= 0).all(axis=-1) | (turns <= 0).all(axis=-1)
    return np.asarray(inside & (polygon_area(area) > 0))


def share_of_mask(area: Shaped[np.ndarray, "4 2"], mask: Shaped[np.ndarray, "h w"]) -> float | None:
    """Share of a mask's pixels whose centres are inside the crop.

    None for an empty mask, or a crop without bounds.
    """
    if not mask.any() or not is_bounded(area):
        return None
    centres = np.argwhere(mask)[:, ::-1] + 0.5
    return float(contains(area, centres).mean())


def mask_box(mask: Shaped[np.ndarray, "h w"]) -> Float[np.ndarray, "4"]:
    """The box around a mask's pixels; NaN for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.full(4, np.nan)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def in_words(area: Shaped[np.ndarray, "4 2"], photo_size: tuple[int, int]) -> str:
    """The area of interest for a reader: "zoomed 2.1x, 12 % left of centre, turned 4 degrees"."""
    if not is_bounded(area):
        return "an area without bounds"
    height, width = photo_size
    factor = zoom(area, photo_size)
    if factor >= 1.05:
        parts = [f"zoomed {factor:.1f}x" if math.isfinite(factor) else "zoomed to a line"]
    elif factor <= 1 / 1.05:
        parts = [f"zoomed out {1 / factor:.1f}x"]
    else:
        parts = ["not zoomed"]
    right, down = (area.mean(axis=0) - (width / 2, height / 2)) / (width, height) * 100
    offsets = [
        f"{abs(offset):.0f} % {words[int(offset > 0)]}"
        for offset, words in ((right, ("left", "right")), (down, ("up", "down")))
        if abs(offset) >= 0.5
    ]
    parts.append(f"{' and '.join(offsets)} of centre" if offsets else "centred")
    turned, mirrored = _turn(area)
    if abs(turned) >= 0.5:
        parts.append(
            f"turned {abs(turned):.0f} degrees {'clockwise' if turned > 0 else 'counterclockwise'}"
        )
    if mirrored:
        parts.append("mirrored")
    return ", ".join(parts)


def _turn(area: Shaped[np.ndarray, "4 2"]) -> tuple[float, bool]:
    """Degrees by which the crop is turned clockwise on the photo, and whether it is mirrored."""
    top, left = area[1] - area[0], area[3] - area[0]
    return math.degrees(math.atan2(top[1], top[0])), bool(top[0] * left[1] - top[1] * left[0] < 0)

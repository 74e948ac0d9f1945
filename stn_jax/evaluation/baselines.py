"""Crops that nothing has learned, to compare the learned one with: same weights, other theta."""

import numpy as np
from jaxtyping import Float

from stn_jax.evaluation.table import BASELINES
from stn_jax.sampling import compose
from stn_jax.sampling.affine import middle_theta


def baseline_theta(
    name: str,
    *,
    transform: str,
    photo_size: tuple[int, int],
    crop_size: tuple[int, int],
    points: int = 16,
) -> Float[np.ndarray, "*entries"]:
    """Theta of a fixed crop, in the family that the model samples with.

    Args:
      name: `centre`, the photo's middle at full resolution, or `whole`, all of it, shrunk.
      transform: affine, attention, projective or tps.
      photo_size: height and width, in pixels.
      crop_size: height and width, in pixels.
      points: control points of a thin-plate spline.

    Raises:
      ValueError: for another name.
    """
    if name not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {name!r}")
    theta = np.eye(2, 3, dtype=np.float32)
    if name == "centre":
        theta = middle_theta(photo_size, crop_size)
    unchanged = {"tps": np.zeros((points, 2)), "projective": np.eye(3)}.get(transform, np.eye(2, 3))
    composed = compose(theta[None], np.float32(unchanged)[None], transform=transform)
    return np.asarray(composed[0])

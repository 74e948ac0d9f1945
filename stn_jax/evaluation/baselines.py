"""Crops that nothing has learned, to compare the learned one with: same weights, other theta."""

import numpy as np
from jaxtyping import Float

from stn_jax.evaluation.table import BASELINES
from stn_jax.sampling.thin_plate import control_points


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
    scale = np.ones(2)
    if name == "centre":
        scale = np.array([crop_size[1] / photo_size[1], crop_size[0] / photo_size[0]])
    if transform == "tps":
        return np.float32(control_points(points) * (scale - 1))
    theta = np.float32([[scale[0], 0, 0], [0, scale[1], 0]])
    if transform == "projective":
        return np.concatenate([theta, np.float32([[0, 0, 1]])])
    return theta

"""The thin-plate spline: displacements of a few control points to those of every point.

Bookstein, "Principal Warps: Thin-Plate Splines and the Decomposition of Deformations", 1989.
"""

import functools
import math

import numpy as np


def control_points(count: int) -> np.ndarray:
    """The K x K control points over [-1, 1], row by row, as [K * K, 2] of (x, y).

    Raises:
      ValueError: count is not the square of a whole number from 2.
    """
    side = math.isqrt(count)
    if side < 2 or side * side != count:
        raise ValueError(
            f"displacements must have K * K control points with K at least 2, got {count}"
        )
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def spline_weights(
    columns: np.ndarray, rows: np.ndarray, count: int, regularization: float
) -> np.ndarray:
    """Weight [count, rows * columns] of each control point's displacement at each lattice point.

    The spline is linear in the displacements, so one solve in float64 serves every theta.
    """
    x, y = np.meshgrid(columns, rows)
    points = np.stack([x.ravel(), y.ravel()], axis=-1)
    return (_basis(points, control_points(count)) @ _solution(count, regularization)).T


@functools.lru_cache(maxsize=16)
def _solution(count: int, regularization: float) -> np.ndarray:
    control = control_points(count)
    system = np.zeros((count + 3, count + 3))
    system[:count] = _basis(control, control)
    system[:count, :count] += regularization * np.eye(count)
    system[count:, :count] = system[:count, count:].T
    return np.linalg.inv(system)[:, :count]


def _basis(points: np.ndarray, control: np.ndarray) -> np.ndarray:
    square = np.sum((points[:, None] - control[None]) ** 2, axis=-1)
    radial = square * np.log(np.where(square > 0, square, 1.0))
    return np.concatenate([radial, np.ones((len(points), 1)), points], axis=1)

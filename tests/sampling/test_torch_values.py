"""Values that torch 2.13 computed: every way of sampling, ties included, where torch is absent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import affine_grid, grid_sample

pytestmark = pytest.mark.usefixtures("float64")

IMAGE = np.array([[3.0, 7, 1, 8], [2, 9, 4, 6]])[None, :, :, None]
# On pixels, on the border, between pixels, in the last half pixel, and outside.
GRID = np.array(
    [
        [-0.75, -0.5], [0.25, 0.5], [-1, -1], [1, 1], [0.3125, -0.4375],
        [-1.25, 0.25], [1.0625, -1.125], [1.75, 1.5], [0, 0],
    ]
)[None, None]  # fmt: skip
COTANGENT = np.arange(1.0, 10)[None, None, :, None]

# Crop; image gradient; grid gradient along x; along y.
SAMPLES = {
    ("bilinear", "zeros", False): (
        "3 4 0.75 1.5 2.0234375 0 1.125 0 5.25",
        "1.75 2.25 6.3515625 1.5703125 0 2.25 4.5234375 1.0390625",
        "8 8 9 -24 66.875 27 -42 0 -99",
        "-1 -8 4.5 -12 11.875 0 21 0 22.5",
    ),
    ("bilinear", "zeros", True): (
        "4.53125 3.90625 3 6 2.0224609375 1.484375 6.796875 0 5.25",
        "4.875 2.7060546875 6.1689453125 5.947265625 2.5 2.5751953125 4.9248046875 4",
        "7.125 -15.75 18 -36 -42.890625 21.375 -78.75 0 -74.25",
        "0.0625 2.875 -1.5 -12 7.421875 -1.875 25.375 0 11.25",
    ),
    ("bilinear", "border", False): (
        "3 4 3 6 2.0234375 2.25 8 6 5.25",
        "5.5 2.25 6.3515625 7.5859375 4.5 2.25 4.5234375 12.0390625",
        "0 8 0 0 66.875 0 0 0 -99",
        "0 0 0 0 11.875 -6 0 0 22.5",
    ),
    ("bilinear", "border", True): (
        "4.53125 3.90625 3 6 2.0224609375 2.375 8 6 5.25",
        "5.71875 2.7060546875 6.1689453125 7 3.90625 2.5751953125 4.9248046875 12",
        "7.125 -15.75 0 0 -42.890625 0 0 0 -74.25",
        "0.0625 2.875 0 0 7.421875 -3 0 0 11.25",
    ),
    ("bilinear", "reflection", False): (
        "3 4 3 6 2.0234375 2.25 8 4 5.25",
        "5.5 2.25 6.3515625 7.5859375 4.5 2.25 12.5234375 4.0390625",
        "0 8 0 0 66.875 0 0 -32 -99",
        "0 0 0 0 11.875 -6 0 0 22.5",
    ),
    ("bilinear", "reflection", True): (
        "4.53125 3.90625 3 6 2.0224609375 4.578125 7.248046875 3.90625 5.25",
        "4.875 3.7998046875 8.5341796875 5.947265625 2.5 4.7314453125 10.215820312 4.396484375",
        "7.125 -15.75 0 0 -42.890625 -52.875 -70.21875 63 -74.25",
        "0.0625 2.875 0 0 7.421875 0.375 5.359375 -11.5 11.25",
    ),
    ("nearest", "zeros", False): (
        "3 4 3 0 1 0 0 0 1",
        "4 0 14 0 0 0 2 0",
        "0",
        "0",
    ),
    ("nearest", "zeros", True): (
        "3 4 3 6 1 2 8 0 1",
        "4 0 14 7 6 0 2 4",
        "0",
        "0",
    ),
    ("nearest", "border", False): (
        "3 4 3 6 1 2 8 6 1",
        "4 0 14 7 6 0 2 12",
        "0",
        "0",
    ),
    ("nearest", "border", True): (
        "3 4 3 6 1 2 8 6 1",
        "4 0 14 7 6 0 2 12",
        "0",
        "0",
    ),
    ("nearest", "reflection", False): (
        "3 4 3 6 1 2 8 4 1",
        "4 0 14 7 6 0 10 4",
        "0",
        "0",
    ),
    ("nearest", "reflection", True): (
        "3 4 3 6 1 2 8 4 1",
        "4 0 14 7 6 0 10 4",
        "0",
        "0",
    ),
}

THETA = np.array([[[0.5, -0.25, 0.125], [0.75, 1, -0.5]]])
# Positions of a grid of 2 rows and 4 columns.
GRIDS = {
    False: "-0.125 -1.5625 0.125 -1.1875 0.375 -0.8125 0.625 -0.4375 "
    "-0.375 -0.5625 -0.125 -0.1875 0.125 0.1875 0.375 0.5625",
    True: "-0.125 -2.25 0.20833333333 -1.75 0.54166666667 -1.25 0.875 -0.75 "
    "-0.625 -0.25 -0.29166666667 0.25 0.041666666667 0.75 0.375 1.25",
}


def assert_close(have, want):
    want = np.array(want.split(), float)
    np.testing.assert_allclose(np.ravel(have), np.broadcast_to(want, np.size(have)), atol=1e-8)


def test_grid_sample(mode, padding_mode, align_corners):
    crop, pull = jax.vjp(
        lambda image, grid: grid_sample(
            image, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners
        ),
        jnp.asarray(IMAGE), jnp.asarray(GRID),
    )  # fmt: skip
    image_gradient, grid_gradient = pull(jnp.asarray(COTANGENT))
    have = crop, image_gradient, grid_gradient[..., 0], grid_gradient[..., 1]
    for value, want in zip(have, SAMPLES[mode, padding_mode, align_corners], strict=True):
        assert_close(value, want)


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grid(align_corners):
    grid = affine_grid(THETA, (2, 4), align_corners=align_corners)
    assert_close(grid, GRIDS[align_corners])

"""Agreement with torch in float64: outputs, image gradients and grid gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import affine_grid, grid_sample

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("float64")

TOLERANCE = 1e-10
SHAPES = [
    pytest.param((2, 5, 7, 3), (4, 6), id="common"),
    pytest.param((1, 1, 1, 2), (3, 3), id="one pixel"),
    pytest.param((2, 1, 6, 1), (2, 5), id="one row"),
    pytest.param((3, 6, 1, 2), (5, 2), id="one column"),
    pytest.param((0, 4, 5, 3), (2, 3), id="empty batch"),
    pytest.param((2, 4, 5, 3), (0, 3), id="no output rows"),
    pytest.param((2, 4, 5, 3), (3, 0), id="no output columns"),
    pytest.param((2, 31, 17, 1), (13, 29), id="larger"),
]


@functools.partial(jax.jit, static_argnames=("mode", "padding_mode", "align_corners"))
def ours(images, grid, cotangent, **options):
    crops, pull = jax.vjp(lambda images, grid: grid_sample(images, grid, **options), images, grid)
    return [crops, *pull(cotangent)]


def torchs(images, grid, cotangent, **options):
    images = torch.tensor(images.transpose(0, 3, 1, 2), requires_grad=True)
    grid = torch.tensor(grid, requires_grad=True)
    crops = torch.nn.functional.grid_sample(images, grid, **options)
    crops.backward(torch.tensor(cotangent.transpose(0, 3, 1, 2)))
    channels_last = (t.detach().permute(0, 2, 3, 1) for t in (crops, images.grad))
    return [t.numpy() for t in (*channels_last, grid.grad)]


def assert_agreement(images, grid, rng, **options):
    cotangent = rng.normal(size=(*grid.shape[:3], images.shape[3]))
    pairs = zip(ours(images, grid, cotangent, **options),
                torchs(images, grid, cotangent, **options), strict=True)  # fmt: skip
    for what, (have, want) in zip(("crops", "image gradient", "grid gradient"), pairs, strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE, err_msg=what)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_grid_sample_at_random_positions(shape, size, mode, padding_mode, align_corners, rng):
    images = rng.normal(size=shape)
    grid = rng.uniform(-2, 2, size=(shape[0], *size, 2))
    assert_agreement(
        images, grid, rng, mode=mode, padding_mode=padding_mode, align_corners=align_corners
    )


def test_grid_sample_exactly_on_pixels_and_borders(mode, padding_mode, align_corners, rng):
    # Sizes whose positions binary numbers can hold: both sides compute the very same tie.
    height, width = (5, 9) if align_corners else (4, 8)
    x, y = (
        np.arange(-2 * length, 4 * length + 1) / (length - align_corners) - 1 + shift
        for length, shift in ((width, 0 if align_corners else 1 / width),
                              (height, 0 if align_corners else 1 / height))
    )  # fmt: skip
    grid = np.stack(np.meshgrid(x, y), axis=-1)[None]
    images = rng.normal(size=(1, height, width, 2))
    assert_agreement(
        images, grid, rng, mode=mode, padding_mode=padding_mode, align_corners=align_corners
    )


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(4, 6), (1, 5), (5, 1), (1, 1)])
def test_affine_grid(size, align_corners, rng):
    theta = rng.normal(size=(3, 2, 3))
    cotangent = rng.normal(size=(3, *size, 2))
    grid, pull = jax.vjp(
        lambda theta: affine_grid(theta, size, align_corners=align_corners), jnp.asarray(theta)
    )
    (gradient,) = pull(jnp.asarray(cotangent))
    theirs = torch.tensor(theta, requires_grad=True)
    want = torch.nn.functional.affine_grid(theirs, (3, 1, *size), align_corners=align_corners)
    want.backward(torch.tensor(cotangent))
    np.testing.assert_allclose(grid, want.detach().numpy(), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=0, atol=TOLERANCE)

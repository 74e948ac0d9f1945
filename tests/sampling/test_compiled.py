"""What XLA is given: no scatter where none is needed, and no photo converted whole."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from stn_jax.sampling import affine_grid, grid_sample, spatial_transform, weighted_sum

PHOTOS = (2, 60, 90, 3)
SIZE = (20, 30)
THETA = jnp.tile(jnp.asarray([[[0.5, 0.1, 0], [-0.1, 0.5, 0]]]), (2, 1, 1))


def compiled_text(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().as_text()


def has_scatter(text):
    # XLA on a CPU turns a scatter into a loop early, which keeps its name in the metadata.
    return re.search(r'op_name="[^"]*/scatter|= \S+ scatter\(', text) is not None


def largest_float(text):
    """Number of elements of the largest floating-point tensor in compiled text."""
    shapes = re.findall(r"\b(?:f|bf)\d+\[([\d,]*)\]", text)
    return max(math.prod(map(int, filter(None, shape.split(",")))) for shape in shapes)


def score(theta, photos, antialias, padding_mode="zeros"):
    crops = spatial_transform(photos, theta, SIZE, antialias=antialias, padding_mode=padding_mode)
    return jnp.sum(crops**2)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
def test_theta_gradient_scatters_nothing(dtype, antialias):
    photos = jnp.ones(PHOTOS, dtype)
    text = compiled_text(
        lambda theta, photos: jax.grad(score)(theta, photos, antialias), THETA, photos
    )
    assert not has_scatter(text)


def test_the_image_gradient_does_scatter():
    photos = jnp.ones(PHOTOS)
    text = compiled_text(
        lambda theta, photos: jax.grad(score, 1)(theta, photos, False), THETA, photos
    )
    assert has_scatter(text)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_bytes_are_never_converted_whole(mode, padding_mode):
    def crop(photos, theta):
        return spatial_transform(photos, theta, SIZE, mode=mode, padding_mode=padding_mode)

    photos = jnp.ones(PHOTOS, jnp.uint8)
    photo_pixels = math.prod(PHOTOS)
    assert largest_float(compiled_text(crop, photos, THETA)) < photo_pixels / 2
    assert largest_float(compiled_text(crop, photos.astype(jnp.float32), THETA)) == photo_pixels


def test_bytes_are_not_converted_whole_for_theta_gradient():
    text = compiled_text(
        lambda theta, photos: jax.grad(score)(theta, photos, False),
        THETA,
        jnp.ones(PHOTOS, jnp.uint8),
    )
    assert largest_float(text) < math.prod(PHOTOS) / 2


def temporaries(function, *arguments):
    """Bytes that a compiled function needs besides its arguments and results."""
    return jax.jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


on_a_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="how XLA compiles for a CPU")


@on_a_cpu
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_crops_and_gradients_keep_no_pixels_in_between(channels, dtype):
    photos = jnp.ones((*PHOTOS[:3], channels), dtype)
    cotangent = jnp.ones((PHOTOS[0], *SIZE, channels))
    grid = affine_grid(THETA, SIZE)
    positions = PHOTOS[0] * math.prod(SIZE)

    def crop(theta, photos):
        return spatial_transform(photos, theta, SIZE)

    def theta_gradient(theta, photos, cotangent):
        crops, pull = jax.vjp(lambda theta: crop(theta, photos), theta)
        return crops, pull(cotangent)

    def grid_gradient(grid, photos, cotangent):
        crops, pull = jax.vjp(lambda grid: grid_sample(photos, grid), grid)
        return crops, pull(cotangent)

    assert temporaries(crop, THETA, photos) < positions
    # The gradient of x and y is 8 bytes a position; at most two copies of it.
    assert temporaries(theta_gradient, THETA, photos, cotangent) < 20 * positions
    assert temporaries(grid_gradient, grid, photos, cotangent) < 20 * positions


@on_a_cpu
def test_the_image_gradient_is_added_up_where_it_lies(monkeypatch):
    monkeypatch.setattr(weighted_sum, "POSITIONS", math.prod(SIZE))  # one photo at a time
    photos, theta = jnp.ones((8, *PHOTOS[1:])), jnp.tile(THETA, (4, 1, 1))
    cotangent = jnp.ones((8, *SIZE, 3))

    def gradient(photos, theta, cotangent):
        _, pull = jax.vjp(lambda photos: spatial_transform(photos, theta, SIZE), photos)
        return pull(cotangent)

    # The loop must not need a gradient besides the one that it returns.
    assert temporaries(gradient, photos, theta, cotangent) < photos.nbytes


def test_elsewhere_the_image_gradient_is_one_scatter_of_the_same_values(rng, monkeypatch):
    photos = jnp.asarray(rng.normal(size=PHOTOS), jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=(PHOTOS[0], *SIZE, 3)), jnp.float32)

    def gradient(photos, cotangent):
        _, pull = jax.vjp(lambda photos: spatial_transform(photos, THETA, SIZE), photos)
        return pull(cotangent)

    lowered = jax.jit(gradient).trace(photos, cotangent).lower(lowering_platforms=("cuda",))
    assert len(re.findall(r'"stablehlo.scatter"\(', lowered.as_text())) == 1
    want = gradient(photos, cotangent)
    monkeypatch.setattr(
        weighted_sum,
        "_changed_on_a_cpu",
        lambda *args: weighted_sum._read_at_once(args[0], *args[1]),
    )
    np.testing.assert_allclose(*gradient(photos, cotangent), *want, atol=1e-5)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    ("transform", "shape"), [("affine", (2, 3)), ("projective", (3, 3)), ("tps", (4, 2))]
)
def test_a_sampler_is_exported_for_any_number_of_photos(transform, shape, antialias):
    def crop(photos, theta):
        return spatial_transform(photos, theta, SIZE, transform=transform, antialias=antialias)

    (batch,) = export.symbolic_shape("batch")
    photos = jax.ShapeDtypeStruct((batch, *PHOTOS[1:]), jnp.uint8)
    theta = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    (crops,) = export.export(jax.jit(crop))(photos, theta).out_avals
    assert crops.shape == (batch, *SIZE, 3)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.uint8, jnp.int32])
@pytest.mark.parametrize("antialias", [False, True])
def test_other_types_agree_with_float32(dtype, antialias, rng):
    photos = jnp.asarray(rng.uniform(0, 200, size=PHOTOS), dtype)
    crops = spatial_transform(photos, THETA, SIZE, antialias=antialias)
    want = spatial_transform(photos.astype(jnp.float32), THETA, SIZE, antialias=antialias)
    floating = jnp.issubdtype(dtype, jnp.floating)
    assert crops.dtype == (dtype if floating else jnp.float32)
    precision = float(jnp.finfo(dtype).eps) if floating else 1e-6
    np.testing.assert_allclose(crops.astype(jnp.float32), want, rtol=precision, atol=1e-4)


@pytest.mark.usefixtures("float64")
def test_float64_images_keep_their_precision(rng):
    photos = rng.uniform(size=PHOTOS)
    crops = spatial_transform(photos, THETA.astype(jnp.float64), SIZE)
    assert crops.dtype == jnp.float64


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_a_coarse_theta_is_computed_in_float32(dtype, rng):
    photos = rng.uniform(size=PHOTOS).astype(np.float32)
    theta = THETA.astype(dtype)
    want = spatial_transform(photos, theta.astype(jnp.float32), SIZE)
    np.testing.assert_array_equal(spatial_transform(photos, theta, SIZE), want)

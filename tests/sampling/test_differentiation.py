"""Derivatives of every function, under every transformation of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from stn_jax.sampling import (
    affine_grid,
    attention_theta,
    compose,
    grid_sample,
    invert,
    projective_grid,
    spatial_transform,
    theta_to_box,
    thin_plate_spline_grid,
    weighted_sum,
)

SIZE = (4, 5)
THETAS = {
    "affine": [[[0.71, 0.13, 0.05], [-0.22, 0.64, -0.11]]],
    "attention": [[[0.63, 0.0, 0.07], [0.0, 0.63, -0.12]]],
    "projective": [[[0.83, 0.11, 0.03], [-0.12, 0.74, 0.06], [0.13, 0.21, 1.1]]],
    "tps": [[[0.11, 0.03], [-0.05, 0.12], [0.07, -0.1], [-0.13, -0.04]]],
}

WAYS = [("affine", False), ("affine", True), ("projective", True), ("tps", True)]


def make_images(rng, batch=1):
    return jnp.asarray(rng.normal(size=(batch, 7, 9, 2)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_against_finite_differences(padding_mode, align_corners, rng):
    # Positions at least 0.1 pixel away from the kinks, which lie on whole and half pixels.
    axes = []
    for length in (9, 7):
        pixels = rng.integers(-length, 2 * length, size=(1, 4, 5))
        pixels = pixels + rng.uniform(0.1, 0.4, size=(1, 4, 5))
        axes.append((2 * pixels + 1 - length) / (length - align_corners))
    grid = np.stack(axes, axis=-1)
    check_grads(
        jax.jit(lambda images, grid: grid_sample(
            images, grid, padding_mode=padding_mode, align_corners=align_corners, fill_value=0.5
        )),
        (make_images(rng), jnp.asarray(grid)), order=1, atol=1e-6, rtol=1e-6, eps=1e-5,
    )  # fmt: skip


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("transform", THETAS)
def test_spatial_transform_against_finite_differences(transform, rng):
    theta = jnp.asarray(THETAS[transform])
    check_grads(
        jax.jit(lambda images, theta: spatial_transform(images, theta, SIZE, transform=transform)),
        (make_images(rng), theta), order=1, atol=1e-6, rtol=1e-6, eps=1e-6,
    )  # fmt: skip


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("transform", THETAS)
def test_second_derivatives_of_theta(transform, rng):
    images, theta = make_images(rng), 0.9 * jnp.asarray(THETAS[transform])
    weights = jnp.asarray(rng.normal(size=(1, *SIZE, 2)))

    def score(theta):
        crops = spatial_transform(images, theta, SIZE, transform=transform, fill_value=0.5)
        return jnp.sum(weights * crops**2)

    check_grads(jax.jit(jax.grad(score)), (theta,), order=1, atol=1e-5, rtol=1e-5, eps=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_any_number_of_channels_against_finite_differences(channels, rng):
    images = jnp.asarray(rng.normal(size=(2, 7, 9, channels)))
    theta = jnp.asarray([THETAS["affine"][0], THETAS["attention"][0]])
    check_grads(
        jax.jit(lambda images, theta: spatial_transform(images, theta, SIZE)),
        (images, theta), order=1, atol=1e-6, rtol=1e-6, eps=1e-6,
    )  # fmt: skip


@pytest.mark.usefixtures("float64")
def test_grids_boxes_and_thetas_against_finite_differences():
    affine, projective, tps = (jnp.asarray(THETAS[t]) for t in ("affine", "projective", "tps"))
    cases = [
        (lambda theta: affine_grid(theta, SIZE), affine),
        (lambda theta: projective_grid(theta, SIZE), projective),
        (lambda moves: thin_plate_spline_grid(moves, SIZE, regularization=0.1), tps),
        (lambda theta: theta_to_box(theta, (7, 9)), affine),
        (lambda theta: compose(theta, 2 * theta), affine),
        (lambda theta: compose(affine, theta, transform="projective"), projective),
        (lambda moves: compose(affine, moves, transform="tps"), tps),
        (invert, affine),
        (lambda scale: attention_theta(scale, jnp.zeros((1, 2))), jnp.asarray([0.4])),
    ]
    for function, argument in cases:
        check_grads(jax.jit(function), (argument,), order=1, atol=1e-5, rtol=1e-5, eps=1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("transform", "antialias"), WAYS)
def test_forward_and_reverse_derivatives_agree(transform, antialias, rng):
    images, theta = make_images(rng), 2 * jnp.asarray(THETAS[transform])

    def crop(images, theta):
        return spatial_transform(images, theta, (3, 3), transform=transform, antialias=antialias)

    for argument in (0, 1):
        forward = jax.jit(jax.jacfwd(crop, argument))(images, theta)
        reverse = jax.jit(jax.jacrev(crop, argument))(images, theta)
        np.testing.assert_allclose(forward, reverse, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("transform", "antialias"), WAYS)
def test_vmap_and_a_batch_agree(transform, antialias, rng):
    images = make_images(rng, batch=3).astype(jnp.float32)
    theta = jnp.tile(jnp.asarray(THETAS[transform], jnp.float32), (3, 1, 1))
    theta = theta * jnp.asarray([0.5, 1.0, 2.5])[:, None, None]

    def crop(images, theta):
        return spatial_transform(images, theta, SIZE, transform=transform, antialias=antialias)

    def one(image, theta):
        return crop(image[None], theta[None])[0]

    def score(theta, images):
        return jnp.sum(crop(images, theta) ** 2)

    def each_score(theta, images):
        return jax.vmap(lambda theta, image: score(theta[None], image[None]))(theta, images).sum()

    batched = jax.jit(crop)(images, theta)
    np.testing.assert_allclose(jax.jit(jax.vmap(one))(images, theta), batched, rtol=0, atol=1e-5)
    gradients = jax.jit(jax.grad(score, argnums=(0, 1)))(theta, images)
    each = jax.jit(jax.grad(each_score, argnums=(0, 1)))(theta, images)
    for have, want in zip(each, gradients, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-3)


def test_jit_and_eager_agree(rng):
    images = make_images(rng).astype(jnp.float32)
    theta = 2 * jnp.asarray(THETAS["affine"], jnp.float32)
    eager = spatial_transform(images, theta, SIZE, antialias=True)
    jitted = jax.jit(spatial_transform, static_argnums=2, static_argnames="antialias")
    np.testing.assert_allclose(jitted(images, theta, SIZE, antialias=True), eager, atol=1e-5)


def test_the_identity_has_a_gradient(rng):
    images = make_images(rng).astype(jnp.float32)
    identity = jnp.eye(2, 3)[None]
    gradient = jax.grad(lambda theta: jnp.sum(spatial_transform(images, theta, (7, 9)) ** 2))(
        identity
    )
    assert np.all(np.abs(gradient) > 0.1)


def test_images_of_integers_have_a_theta_gradient(rng):
    images = jnp.asarray(rng.integers(0, 256, size=(1, 7, 9, 2), dtype=np.uint8))
    theta = jnp.asarray(THETAS["affine"], jnp.float32)

    def total(theta, images):
        return jnp.sum(spatial_transform(images, theta, SIZE) ** 2)

    want = jax.grad(total)(theta, images.astype(jnp.float32))
    np.testing.assert_allclose(jax.grad(total)(theta, images), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("batch", "positions", "cache"),
    [(0, 99, 0), (7, 999, 1 << 20), (7, 99, 0), (16, 99, 1 << 20), (16, 1, 0)],
)
@pytest.mark.parametrize("photo_size", [(5, 6), (14, 18)])
@pytest.mark.parametrize("channels", [3, 7])
def test_gradient_of_a_photo_is_its_own(
    batch, positions, cache, photo_size, channels, rng, monkeypatch
):  # fmt: skip
    # On a CPU photos are scattered in groups: of as many as have so many positions (here 7, 1, 4
    # and 1), or those of many channels of as many as have so many bytes (7, 1, 8 and 1).
    monkeypatch.setattr(weighted_sum, "POSITIONS", positions)
    monkeypatch.setattr(weighted_sum, "CACHE", cache)
    images = jnp.asarray(rng.normal(size=(batch, *photo_size, channels)))
    theta = jnp.asarray(rng.normal(size=(batch, 2, 3)))
    weights = jnp.asarray(rng.normal(size=(batch, *SIZE, channels)))

    @jax.jit
    def gradient(images, theta, weights):
        return jax.grad(lambda images: jnp.sum(weights * spatial_transform(images, theta, SIZE)))(
            images
        )

    together = gradient(images, theta, weights)
    assert together.shape == images.shape
    for photo, channel in np.ndindex(batch, channels):
        one = (slice(photo, photo + 1), ..., slice(channel, channel + 1))
        alone = gradient(images[one], theta[photo : photo + 1], weights[one])
        np.testing.assert_allclose(together[one], alone, rtol=1e-5, atol=1e-5)


def test_a_gradient_of_more_numbers_than_an_int32_counts_is_scattered_otherwise(rng, monkeypatch):
    images = make_images(rng, batch=3)
    theta = jnp.tile(jnp.asarray(THETAS["affine"]), (3, 1, 1))

    def trace():
        def score(images):
            return jnp.sum(spatial_transform(images, theta, SIZE) ** 2)

        return jax.jit(jax.grad(score)).trace(images)

    in_place = trace()
    monkeypatch.setattr(weighted_sum, "COUNTABLE", images.size)
    otherwise = trace()
    assert str(in_place.jaxpr) != str(otherwise.jaxpr)
    have, want = (each.lower().compile()(images) for each in (otherwise, in_place))
    np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-6)

"""Smoothing where the map shrinks: no aliasing, and no blur where it does not."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import attention_theta, spatial_transform
from stn_jax.sampling.pyramid import build_levels

IDENTITY = jnp.asarray([[[1.0, 0, 0], [0, 1, 0]]])
# A window off the centre that stays inside.
WINDOW = jnp.asarray([[[0.6, 0, 0.1], [0, 0.6, -0.2]]])


OPTIONS = ("size", "transform", "antialias", "padding_mode")
transform = jax.jit(spatial_transform, static_argnames=OPTIONS)
smooth = functools.partial(transform, antialias=True)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def rotation(angle, shape, size, shrink=1.0):
    """Theta that turns the crop and reads it at `shrink` photo pixels to one of its own."""
    (height, width), (out_height, out_width) = shape, size
    cos, sin = shrink * np.cos(angle), shrink * np.sin(angle)
    return jnp.asarray(
        [[[cos * out_width / width, -sin * out_height / width, 0.05],
          [sin * out_width / height, cos * out_height / height, -0.03]]], jnp.float32,
    )  # fmt: skip


def pink_image(rng, height, width):
    """Noise of all scales alike, as photos have; standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / np.maximum(frequency, 1 / width)
    image = np.fft.irfft2(spectrum, (height, width))
    return ((image - image.mean()) / image.std()).astype(np.float32)[None, :, :, None]


@pytest.mark.parametrize("axis", [1, 2])
def test_a_fine_pattern_does_not_alias(axis):
    wave = np.cos(2 * np.pi * 0.45 * np.arange(945)).astype(np.float32)
    image = np.broadcast_to(np.expand_dims(wave, tuple({0, 1, 2, 3} - {axis})), (1, 945, 945, 1))
    assert rms(transform(image, IDENTITY, (96, 96))) > 0.4
    assert rms(smooth(image, IDENTITY, (96, 96))) < 0.01


@pytest.mark.parametrize("shrink", [2.0, 2.6, 3.0, 4.5, 9.8])
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_a_fine_pattern_does_not_alias_off_axis(shrink, angle):
    y, x = np.mgrid[0:256, 0:320]
    image = np.cos(2 * np.pi * 0.45 * (x * np.cos(0.4) + y * np.sin(0.4))).astype(np.float32)
    theta = rotation(angle, (256, 320), (24, 24), shrink)
    crop = smooth(image[None, :, :, None], theta, (24, 24), padding_mode="reflection")
    assert rms(crop) < 0.05


@pytest.mark.parametrize("size", [(126, 189), (90, 135), (63, 94), (42, 63), (28, 42), (13, 19)])
def test_agrees_with_jax_image_resize(size, rng):
    image = pink_image(rng, 126, 189)
    want = jax.image.resize(image, (1, *size, 1), "bilinear", antialias=True)
    assert rms(smooth(image, IDENTITY, size) - want) < 0.1  # of a standard deviation


@pytest.mark.parametrize("family", ["affine", "projective", "tps"])
def test_the_same_map_of_any_family_is_smoothed_alike(family, rng):
    image = pink_image(rng, 64, 96)
    same = {
        "affine": IDENTITY,
        "projective": 3 * jnp.eye(3)[None],
        "tps": jnp.zeros((1, 9, 2)),
    }
    crop = smooth(image, same[family], (16, 24), transform=family)
    np.testing.assert_allclose(crop, smooth(image, IDENTITY, (16, 24)), atol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, 3.0])
@pytest.mark.parametrize("shrink", [0.2, 0.7, 1.0])
def test_no_blur_where_the_map_does_not_shrink(angle, shrink, rng):
    image = rng.uniform(0, 255, size=(1, 40, 60, 2)).astype(np.float32)
    theta = rotation(angle, (40, 60), (24, 30), shrink)
    plain = transform(image, theta, (24, 30), fill_value=99.0)
    np.testing.assert_allclose(smooth(image, theta, (24, 30), fill_value=99.0), plain, atol=1e-3)


def test_only_the_far_side_of_a_tilted_plane_is_blurred(rng):
    image = rng.normal(size=(1, 64, 64, 1)).astype(np.float32)
    # Near at the right (about 0.6 pixels to one), far at the left (about 2.5).
    tilt = jnp.asarray([[[0.6, 0, 0], [0, 0.6, 0], [0.5, 0, 1.0]]])
    crops = [
        transform(image, tilt, (64, 64), transform="projective", antialias=antialias)
        for antialias in (False, True)
    ]
    change = np.abs(crops[1] - crops[0])[0, ..., 0]
    assert np.all(change[:, 40:] == 0)
    assert np.mean(change[24:40, :8]) > 0.1


@pytest.mark.parametrize("size", [(45, 63), (30, 42), (7, 11), (1, 1)])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_a_constant_image_stays_constant_up_to_its_edge(size, padding_mode):
    image = jnp.full((1, 90, 127, 3), 77.0)
    crop = smooth(image, IDENTITY, size, padding_mode=padding_mode, fill_value=5.0)
    np.testing.assert_allclose(crop, 77.0, rtol=1e-6)


def test_a_crop_of_one_pixel_has_a_middle_also_between_corners():
    image = jnp.full((1, 9, 12, 3), 77.0)
    crop = spatial_transform(image, IDENTITY, (1, 1), antialias=True, align_corners=True)
    np.testing.assert_allclose(crop, 77.0, rtol=1e-6)


def test_the_fill_value_lies_outside_at_every_level():
    image = jnp.full((1, 90, 120, 3), 77.0)
    for zoom_out in (1.5, 2.0, 4.0, 16.0):
        crop = smooth(image, zoom_out * IDENTITY, (60, 60), fill_value=(5.0, 6.0, 7.0))
        crop = np.asarray(crop[0])
        middle = 30
        reach = int(np.ceil(30 / zoom_out)) + 1  # half the photo's side in the crop, and a pixel
        np.testing.assert_allclose(crop[middle, middle], 77.0, rtol=0.5 if zoom_out > 15 else 1e-5)
        for outside in (crop[: middle - reach], crop[middle + reach :], crop[:, middle + reach :]):
            assert np.all(outside == np.array([5.0, 6.0, 7.0]))


def test_the_mean_is_kept(rng):
    image = rng.uniform(0, 255, size=(1, 64, 64, 1)).astype(np.float32)
    crop = smooth(image, IDENTITY, (1, 1))
    np.testing.assert_allclose(crop, image.mean(), rtol=0.02)


def test_bytes_and_floats_agree(rng):
    image = rng.integers(0, 256, size=(1, 50, 70, 3), dtype=np.uint8)
    crop = smooth(image, WINDOW, (11, 13))
    assert crop.dtype == jnp.float32
    np.testing.assert_allclose(crop, smooth(image.astype(np.float32), WINDOW, (11, 13)), atol=1e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("translation", [[0.1037, -0.2019], [0.5041, 0.5073]])
def test_theta_gradient_moves_the_positions_only(translation, rng):
    # Against finite differences of the translation, on which the level does not depend.
    image = jnp.asarray(pink_image(rng, 60, 80), jnp.float64)
    weights = jnp.asarray(rng.normal(size=(1, 9, 11, 1)))

    def score(translation):
        theta = attention_theta(jnp.asarray([0.87]), translation[None])
        return jnp.sum(smooth(image, theta, (9, 11), fill_value=0.3) * weights)

    at = jnp.asarray(translation)
    step = 1e-6
    numeric = [
        (score(at + step * unit) - score(at - step * unit)) / (2 * step) for unit in jnp.eye(2)
    ]
    np.testing.assert_allclose(jax.grad(score)(at), jnp.stack(numeric), rtol=1e-5)


def test_the_choice_of_level_carries_no_gradient():
    # The crop of a ramp about its centre is a ramp at every level, so that all of the gradient of
    # its slope must come through the positions.
    ramp = jnp.broadcast_to(jnp.arange(64.0)[None, None, :, None], (1, 64, 64, 1))

    def slope(scale):
        crop = smooth(ramp, attention_theta(scale, jnp.zeros((1, 2))), (8, 8))[0, 4, :, 0]
        return crop[5] - crop[2]

    np.testing.assert_allclose(jax.grad(slope)(jnp.asarray([0.5])), [3 * 64 / 8], rtol=1e-4)


def test_the_width_of_a_smoothed_edge_carries_no_gradient():
    # A scale does not move the middle of the crop, here just off the image, only blurs it more.
    image = jnp.zeros((1, 64, 64, 1))

    def middle(scale):
        theta = attention_theta(scale, jnp.asarray([[1.02, 0.0]]))
        return smooth(image, theta, (9, 9), fill_value=1.0)[0, 4, 4, 0]

    value, gradient = jax.value_and_grad(middle)(jnp.asarray([0.5]))
    assert 0.5 < value < 0.9
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 7, 12, 3), (0, 4, 4, 1), (1, 1, 9, 1)])
def test_levels_halve_down_to_one_pixel(shape):
    levels = build_levels(jnp.ones(shape, jnp.uint8))
    sizes = [shape[1:3], *(level.shape[1:3] for level in levels)]
    for (height, width), half in itertools.pairwise(sizes):
        assert half == ((height + 1) // 2, (width + 1) // 2)
    assert sizes[-1] == (1, 1)
    for level in levels:
        assert level.dtype == jnp.float32
        np.testing.assert_allclose(level, 1.0)

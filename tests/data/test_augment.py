import colorsys
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.config import AugmentConfig, Config, ConfigError, DataConfig
from stn_jax.data.augment import augment

KEY = jax.random.key(3)
FILL = (120.0, 90.0, 60.0)
EVERYTHING = AugmentConfig(
    flip=True,
    right_angles=True,
    rotate=20.0,
    scale=0.2,
    brightness=0.1,
    contrast=0.2,
    saturation=0.3,
    hue=0.05,
)


def noise(batch=16, height=12, width=18, *, dtype=np.uint8, seed=0):
    draws = np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3))
    return jnp.asarray(draws.astype(dtype))


def smooth(batch=16, height=48, width=72):
    """Photos that vary so slowly that interpolation loses nothing, in mid tones."""
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    colour = np.stack([90 + 60 * x, 110 + 40 * y, 130 - 30 * x * y], axis=-1)
    return jnp.asarray(np.broadcast_to(colour, (batch, height, width, 3)), jnp.float32)


def apply(images, key=KEY, fill_value=FILL, **options):
    return np.asarray(augment(key, images, config=AugmentConfig(**options), fill_value=fill_value))


def find(changed, candidates):
    """For each photo, which of the candidates it equals; fails where it equals none."""
    return [
        next(name for name, them in candidates.items() if np.array_equal(them[i], photo))
        for i, photo in enumerate(changed)
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_everything_off_is_the_identity_and_computes_nothing(dtype):
    images = noise(dtype=dtype)
    np.testing.assert_array_equal(apply(images), images)
    lowered = augment.lower(KEY, images, config=AugmentConfig(), fill_value=FILL)
    compiled = lowered.compile()
    assert compiled.cost_analysis().get("flops", 0) == 0
    assert "gather" not in compiled.as_text()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, jnp.bfloat16])
@pytest.mark.parametrize("options", [{"flip": True}, {"rotate": 9.0}, {"hue": 0.1}])
def test_type_and_shape_are_kept(dtype, options):
    images = noise(dtype=dtype)
    config = AugmentConfig(**options)
    changed = jax.eval_shape(lambda: augment(KEY, images, config=config, fill_value=FILL))
    assert changed.dtype == images.dtype
    assert changed.shape == images.shape


def test_a_key_decides_everything():
    images = noise(height=24, width=24)
    options = dataclasses.asdict(EVERYTHING)
    again = apply(images, **options)
    np.testing.assert_array_equal(again, apply(images, **options))
    assert not np.array_equal(again, apply(images, jax.random.key(4), **options))


def test_flips_are_exact_and_each_has_probability_one_half():
    images = noise(batch=400, height=3, width=5)
    array = np.asarray(images)
    found = find(
        apply(images, flip=True),
        {
            "none": array,
            "x": array[:, :, ::-1],
            "y": array[:, ::-1],
            "both": array[:, ::-1, ::-1],
        },
    )
    for name in ("none", "x", "y", "both"):
        assert 70 <= found.count(name) <= 130, name


def test_flips_alone_do_not_resample():
    images = noise()
    lowered = augment.lower(KEY, images, config=AugmentConfig(flip=True), fill_value=FILL)
    assert "gather" not in lowered.compile().as_text()


def test_right_angles_of_square_photos_are_the_four_turns():
    images = noise(batch=400, height=5, width=5)
    array = np.asarray(images)
    turns = {quarters: np.rot90(array, quarters, axes=(1, 2)) for quarters in range(4)}
    found = find(apply(images, right_angles=True), turns)
    for quarters in range(4):
        assert 70 <= found.count(quarters) <= 130


def test_right_angles_of_oblong_photos_are_half_turns():
    images = noise(batch=200, height=4, width=5)
    array = np.asarray(images)
    found = find(apply(images, right_angles=True), {0: array, 2: array[:, ::-1, ::-1]})
    assert 65 <= found.count(2) <= 135


def test_flips_and_right_angles_of_square_photos_reach_all_eight_symmetries():
    images = noise(batch=400, height=5, width=5)
    array = np.asarray(images)
    symmetries = {
        (quarters, mirrored): np.rot90(array[:, :, ::-1] if mirrored else array, quarters, (1, 2))
        for quarters in range(4)
        for mirrored in (False, True)
    }
    found = find(apply(images, flip=True, right_angles=True), symmetries)
    assert all(25 <= found.count(name) <= 80 for name in symmetries)


@pytest.mark.parametrize("size", [(7, 7), (6, 9)])
def test_mirrors_are_the_same_whether_moved_or_sampled(size):
    images = noise(batch=64, height=size[0], width=size[1])
    moved = apply(images, flip=True, right_angles=True)
    sampled = apply(images, flip=True, right_angles=True, rotate=1e-5)
    np.testing.assert_array_equal(sampled, moved)


def test_a_rotation_turns_about_the_centre_by_pixels_not_by_halves_of_the_sides():
    # A dot at 20 pixels from the centre of an oblong photo stays at 20 pixels from it.
    images = np.zeros((64, 60, 100, 3), np.float32)
    images[:, 29:31, 69:71] = 255
    changed = apply(jnp.asarray(images), fill_value=0.0, rotate=40.0)[..., 0]
    y, x = np.mgrid[:60, :100] - np.array([29.5, 49.5])[:, None, None]
    mass = changed.sum((1, 2))
    cx, cy = (changed * x).sum((1, 2)) / mass, (changed * y).sum((1, 2)) / mass
    np.testing.assert_allclose(np.hypot(cx, cy), 20, atol=0.15)
    angles = np.rad2deg(np.arctan2(cy, cx))
    assert 30 < angles.max() <= 40
    assert -40 <= angles.min() < -30
    assert abs(angles.mean()) < 10


def test_a_scale_stretches_both_sides_alike_within_its_bounds():
    images = np.zeros((64, 60, 100, 3), np.float32)
    images[:, 20:40, 40:60] = 255
    changed = apply(jnp.asarray(images), fill_value=0.0, scale=0.25)[..., 0] / 255
    sides_x, sides_y = changed.sum(2).max(1) / 20, changed.sum(1).max(1) / 20
    np.testing.assert_allclose(sides_x, sides_y, atol=0.01)
    assert 1 / 1.25 - 0.01 < sides_x.min() < 0.85
    assert 1.18 < sides_x.max() < 1.25 + 0.01
    assert abs(np.log(sides_x).mean()) < 0.06


def test_the_fill_value_comes_in_from_outside():
    images = jnp.full((32, 40, 60, 3), 200, jnp.uint8)
    corners = apply(images, rotate=30.0)[:, 0, 0]
    assert (np.abs(corners.astype(float) - FILL).max(axis=1) < 1).sum() > 20
    assert (apply(images, fill_value=7.0, rotate=30.0)[:, 0, 0] == 7).all(axis=1).sum() > 20


def test_geometry_of_every_kind_is_sampled_in_one_gather():
    def gathers(**options):
        lowered = augment.lower(
            KEY, noise(height=24, width=24), config=AugmentConfig(**options), fill_value=FILL
        )
        return lowered.as_text().count("gather")

    all_of_it = gathers(flip=True, right_angles=True, rotate=10.0, scale=0.1)
    assert all_of_it == gathers(rotate=10.0) > 0


def test_brightness_adds_one_number_to_each_photo():
    images = smooth(batch=200)
    shift = apply(images, brightness=0.1) - np.asarray(images)
    each = shift.mean((1, 2, 3))
    np.testing.assert_allclose(
        shift, np.broadcast_to(each[:, None, None, None], shift.shape), atol=1e-3
    )
    assert 23 < each.max() <= 25.5
    assert -25.5 <= each.min() < -23


def test_contrast_stretches_about_the_mean_colour():
    images = smooth(batch=200)
    changed, original = apply(images, contrast=0.3), np.asarray(images)
    np.testing.assert_allclose(changed.mean((1, 2)), original.mean((1, 2)), rtol=1e-4)
    ratio = changed.std((1, 2)) / original.std((1, 2))
    np.testing.assert_allclose(ratio.max(1), ratio.min(1), rtol=1e-3)
    assert 0.7 <= ratio.min() < 0.74
    assert 1.26 < ratio.max() <= 1.3 + 1e-4


def test_saturation_stretches_the_distance_to_grey():
    images = smooth(batch=200)
    luma = np.array([0.299, 0.587, 0.114])
    changed, original = apply(images, saturation=0.5), np.asarray(images)
    np.testing.assert_allclose(changed @ luma, original @ luma, atol=0.05)
    ratio = (changed - (changed @ luma)[..., None]).std((1, 2, 3)) / (
        original - (original @ luma)[..., None]
    ).std((1, 2, 3))
    assert 0.5 <= ratio.min() < 0.57
    assert 1.43 < ratio.max() <= 1.5 + 1e-3
    grey = jnp.full((4, 5, 5, 3), 77, jnp.uint8)
    np.testing.assert_array_equal(apply(grey, saturation=0.5, hue=0.5), grey)


def test_hue_turns_the_colour_circle():
    red = jnp.broadcast_to(jnp.array([150.0, 90.0, 90.0]), (200, 1, 1, 3))
    hues = [np.arctan2(*colorsys.rgb_to_yiq(*photo[0, 0])[:0:-1]) for photo in apply(red, hue=0.1)]
    turned = (np.array(hues) - np.arctan2(*colorsys.rgb_to_yiq(150, 90, 90)[:0:-1])) / (2 * np.pi)
    assert 0.09 < turned.max() < 0.101
    assert -0.101 < turned.min() < -0.09
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(apply(red, hue=0.1) @ luma, np.asarray(red) @ luma, atol=0.1)


def test_colours_stay_in_range_and_are_rounded_once():
    images = noise(batch=32)
    options = {"brightness": 0.4, "contrast": 0.8, "saturation": 0.8, "hue": 0.3}
    exact = apply(images.astype(jnp.float32), **options)
    assert exact.min() == 0
    assert exact.max() == 255
    np.testing.assert_allclose(apply(images, **options), exact, atol=0.5 + 1e-3)


def test_the_fill_value_is_jittered_like_the_photo():
    images = jnp.broadcast_to(jnp.asarray(FILL), (16, 20, 30, 3))
    changed = apply(images, rotate=30.0, scale=0.5, brightness=0.2, hue=0.1)
    np.testing.assert_allclose(changed.max((1, 2)), changed.min((1, 2)), atol=1e-3)


def test_photos_are_changed_independently():
    images = jnp.broadcast_to(noise(batch=1, height=24, width=24), (16, 24, 24, 3))
    changed = apply(images, **dataclasses.asdict(EVERYTHING))
    assert len({photo.tobytes() for photo in changed}) == 16


def test_one_compilation_serves_all_keys_and_fill_values():
    images, config = noise(), AugmentConfig(rotate=3.0)
    augment(KEY, images, config=config, fill_value=jnp.asarray(FILL))
    compiled = augment._cache_size()
    for seed in range(3):
        augment(jax.random.key(seed), images, config=config, fill_value=jnp.asarray(FILL) + seed)
    assert augment._cache_size() == compiled


def test_grey_images_can_be_changed_but_have_no_hue():
    digits = noise()[..., :1]
    assert apply(digits, flip=True, contrast=0.2).shape == digits.shape
    with pytest.raises(ValueError, match="images of 1 channels have no saturation or hue"):
        apply(digits, fill_value=0.0, hue=0.1)


@pytest.mark.parametrize(
    ("option", "value"),
    [("rotate", 181.0), ("rotate", -1.0), ("scale", -0.1), ("brightness", 1.5), ("contrast", 1.1),
     ("saturation", -0.2), ("hue", 0.6), ("hue", float("nan"))],
)  # fmt: skip
def test_senseless_options_are_refused_by_name(option, value):
    with pytest.raises(ConfigError, match=f"--data.augment.{option} "):
        Config(data=DataConfig(augment=AugmentConfig(**{option: value})))

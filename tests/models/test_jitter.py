"""Crops turned, stretched and sheared at random while the classifier learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.config import ModelConfig
from stn_jax.models import make_model
from stn_jax.models.jitter import jitter_theta
from stn_jax.sampling import attention_theta, theta_to_box

PHOTO = (40, 60)
COUNT, AMOUNT = 200, 0.2
RANDOM = np.random.default_rng(0)
MIDDLES = RANDOM.uniform(-0.4, 0.4, (COUNT, 2)).astype(np.float32)
UPRIGHT = np.asarray(attention_theta(np.full(COUNT, 0.5, np.float32), MIDDLES))
HOMOGRAPHIES = np.concatenate(
    [UPRIGHT, np.tile(np.float32([[0.1, 0.2, 1.0]]), (COUNT, 1, 1))], axis=1
)
DISPLACEMENTS = (RANDOM.uniform(-0.1, 0.1, (COUNT, 9, 2)) + MIDDLES[:, None]).astype(np.float32)
FAMILIES = {
    "affine": UPRIGHT,
    "attention": UPRIGHT,
    "projective": HOMOGRAPHIES,
    "tps": DISPLACEMENTS,
}
SMALL = ModelConfig(
    crop_size=(8, 12),
    view_shrink=3,
    localization_channels=(4, 4),
    localization_units=8,
    channels=((4,), (4,)),
    dense=(8,),
    dropout=0.0,
)
PHOTOS = RANDOM.integers(0, 256, (4, 24, 36, 3), np.uint8)


def changes(family: str) -> tuple[np.ndarray, np.ndarray]:
    """The linear map, in pixels, and the shift of each crop's corners as seen from its middle."""
    theta = jnp.asarray(FAMILIES[family])
    jittered = jitter_theta(jax.random.key(0), theta, AMOUNT, PHOTO, transform=family)
    before, after = (
        np.asarray(theta_to_box(each, PHOTO, transform=family)) for each in (theta, jittered)
    )
    middle = middles(family)
    maps = [
        np.linalg.lstsq(np.column_stack([b - m, np.ones(4)]), a - m, rcond=None)[0]
        for b, a, m in zip(before, after, middle, strict=True)
    ]
    return np.array([m[:2].T for m in maps]), np.array([m[2] for m in maps])


def middles(family: str) -> np.ndarray:
    """Where the crops' middles lie, in pixels: a spline of nine points has one there."""
    middle = FAMILIES[family][:, 4] if family == "tps" else UPRIGHT[:, :, 2]
    return (middle + 1) * np.array(PHOTO[::-1]) / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_crop_is_changed_about_its_middle_by_as_much_as_it_may_be(family):
    linear, shift = changes(family)
    np.testing.assert_allclose(shift, 0, atol=1e-3)
    off = linear - np.eye(2)
    assert np.abs(off).max() <= AMOUNT + 1e-4
    # All four numbers, either way, of every photo by itself.
    assert (off.max(axis=0) > 0.9 * AMOUNT).all()
    assert (off.min(axis=0) < -0.9 * AMOUNT).all()
    np.testing.assert_allclose(off.mean(axis=0), 0, atol=4 * AMOUNT / np.sqrt(3 * COUNT))


def test_a_crop_whose_middle_is_behind_the_camera_has_finite_numbers():
    behind = jnp.array([[[0.1, 0.0, 0.0], [0.0, 0.1, 0.0], [1.0, 0.0, 0.0]]])

    def total(theta):
        key = jax.random.key(0)
        return jitter_theta(key, theta, AMOUNT, PHOTO, transform="projective").sum()

    value, gradient = jax.value_and_grad(total)(behind)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("transform", ["affine", "attention", "projective", "tps", "identity"])
def test_the_classifier_sees_the_jitter_and_theta_is_told_without(transform):
    config = dataclasses.replace(SMALL, transform=transform)
    model = make_model(config, num_classes=2, mean_color=(100.0, 110.0, 120.0))
    variables = model.init(jax.random.key(0), PHOTOS, train=False)

    def look(jitter: float, seed: int = 0):
        rngs = {"jitter": jax.random.key(seed)}
        return model.apply(variables, PHOTOS, train=True, jitter=jitter, rngs=rngs)

    plain, jittered, other = look(0.0), look(AMOUNT), look(AMOUNT, seed=1)
    np.testing.assert_array_equal(jittered[1], plain[1])
    for one, two in ((plain, jittered), (jittered, other)):
        assert np.abs(one[2] - two[2]).max() > 1
        assert np.abs(one[0] - two[0]).max() > 1e-3


@pytest.mark.parametrize("jitter", [-0.1, 0.5, float("nan")])
def test_jitter_that_could_turn_a_crop_inside_out_is_refused(jitter):
    model = make_model(SMALL, num_classes=2, mean_color=(100.0, 110.0, 120.0))
    with pytest.raises(ValueError, match=r"jitter must be in \[0, 0\.5\)"):
        model.init(jax.random.key(0), PHOTOS, train=True, jitter=jitter)

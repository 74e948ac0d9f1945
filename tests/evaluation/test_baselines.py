"""Fixed crops mean the same in every family of maps."""

import numpy as np
import pytest

from stn_jax.evaluation.baselines import baseline_theta
from stn_jax.sampling import spatial_transform, theta_to_box

PHOTO, CROP = (24, 36), (8, 12)


@pytest.mark.parametrize("crop_size", [(8, 12), (7, 11)])
@pytest.mark.parametrize("transform", ["affine", "attention", "projective", "tps"])
def test_centre_is_the_middle_pixel_for_pixel(transform, crop_size):
    theta = baseline_theta("centre", transform=transform, photo_size=PHOTO, crop_size=crop_size)
    photos = np.random.default_rng(0).integers(0, 256, (1, *PHOTO, 3), np.uint8)
    crops = spatial_transform(photos, theta[None], crop_size, transform=transform)
    middle = photos[:, 8 : 8 + crop_size[0], 12 : 12 + crop_size[1]]
    np.testing.assert_allclose(crops, middle, atol=2e-3)


@pytest.mark.parametrize("transform", ["affine", "attention", "projective", "tps"])
def test_whole_is_the_whole_photo(transform):
    theta = baseline_theta("whole", transform=transform, photo_size=PHOTO, crop_size=CROP)
    corners = theta_to_box(theta[None], PHOTO, transform=transform)[0]
    np.testing.assert_allclose(corners, [[0, 0], [36, 0], [36, 24], [0, 24]], atol=1e-4)


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="centre, whole"):
        baseline_theta("left", transform="affine", photo_size=PHOTO, crop_size=CROP)

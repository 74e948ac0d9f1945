"""Areas outlined on photos: where the lines lie, and that grey stays grey."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from stn_jax.drawing import OUTLINE, outline_photo

AREA = np.array([[10.0, 5.0], [40.0, 5.0], [40.0, 25.0], [10.0, 25.0]])


@pytest.fixture
def axes():
    return Figure().subplots()


def test_the_outline_is_closed_and_runs_between_pixels(axes):
    outline_photo(axes, np.zeros((30, 45, 3), np.uint8), AREA)
    _, line = axes.lines
    assert to_hex(line.get_color()) == OUTLINE
    # Pixel 10 is drawn from 9.5 to 10.5, and the area begins where it begins.
    np.testing.assert_array_equal(line.get_xydata(), AREA[[0, 1, 2, 3, 0]] - 0.5)


def test_an_area_beyond_the_photo_leaves_the_view_as_it_is(axes):
    outline_photo(axes, np.zeros((30, 45, 3), np.uint8), 3 * AREA, lesion=AREA)
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 44.5), (29.5, -0.5))
    assert {to_hex(line.get_color()) for line in axes.lines} == {"#000000", "#ffffff", OUTLINE}


def test_grey_photos_are_not_stretched_to_black_and_white(axes):
    grey = np.full((30, 45, 1), 100, np.uint8)
    grey[0] = 120
    outline_photo(axes, grey, AREA)
    (image,) = axes.images
    assert image.get_clim() == (0, 255)
    np.testing.assert_array_equal(image.get_array(), grey[..., 0])

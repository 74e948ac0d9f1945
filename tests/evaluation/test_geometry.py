import math

import numpy as np
import pytest

from stn_jax.evaluation import geometry

SIZE = (60, 100)
WHOLE = geometry.box_corners(np.array([0.0, 0, 100, 60]))
UNBOUNDED = np.array([[np.inf, np.inf], [75, 15], [75, 45], [np.inf, np.inf]])


def turned(box, degrees):
    """A box's corners turned clockwise (y points down) about its centre."""
    corners = geometry.box_corners(np.array(box, float))
    middle = corners.mean(axis=0)
    angle = math.radians(degrees)
    matrix = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return (corners - middle) @ np.array(matrix) + middle


def test_areas_and_overlaps_worked_by_hand():
    area = geometry.box_corners(np.array([10.0, 10, 30, 20]))
    assert geometry.polygon_area(area) == 200
    assert geometry.intersection_area(area, np.array([20, 0, 100, 15])) == 50
    assert geometry.intersection_area(area, np.array([40, 0, 50, 15])) == 0
    # A square stood on its corner, cut at its middle: half of it.
    diamond = np.array([[5.0, 0], [10, 5], [5, 10], [0, 5]])
    assert geometry.intersection_area(diamond, np.array([0, 0, 5, 10])) == pytest.approx(25)


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 200])
def test_overlap_agrees_with_counting_points(degrees):
    area, box = turned((10, 5, 60, 40), degrees), np.array([20.0, 10, 90, 30])
    axis = (np.arange(400) + 0.5) / 400
    points = np.stack(np.meshgrid(20 + 70 * axis, 10 + 20 * axis), -1).reshape(-1, 2)
    counted = np.mean([geometry.contains(area, p) for p in points[::37]]) * 70 * 20
    assert geometry.intersection_area(area, box) == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("mirrored", [False, True])
def test_lesion_overlap(mirrored):
    area = geometry.box_corners(np.array([0.0, 0, 20, 20]))
    area = area[::-1] if mirrored else area
    inside, iou, hit = geometry.lesion_overlap(area, np.array([10.0, 0, 30, 20]))
    assert (inside, iou, hit) == (0.5, 200 / 600, True)
    assert geometry.lesion_overlap(area, np.array([12.0, 0, 32, 20]))[2] is False


def test_nothing_lies_inside_a_crop_that_has_collapsed():
    line = np.array([[0.0, 0], [10, 0], [10, 0], [0, 0]])
    for area in (np.full((4, 2), 5.0), line):
        assert not geometry.contains(area, area[0])
        assert not geometry.contains(area, np.array([[5.0, 5.0], [20.0, 0.0]])).any()


def test_share_outside_and_zoom():
    assert geometry.share_outside(WHOLE, SIZE) == 0
    assert geometry.zoom(WHOLE, SIZE) == pytest.approx(1)
    half_out = geometry.box_corners(np.array([-10.0, 0, 10, 30]))
    assert geometry.share_outside(half_out, SIZE) == pytest.approx(0.5)
    assert geometry.zoom(geometry.box_corners(np.array([0.0, 0, 50, 30])), SIZE) == 2
    line = np.zeros((4, 2))
    assert geometry.zoom(line, SIZE) == math.inf
    assert geometry.share_outside(line, SIZE) == 0


def test_masks():
    mask = np.zeros(SIZE, bool)
    mask[10:20, 30:50] = True
    assert geometry.mask_box(mask).tolist() == [30, 10, 50, 20]
    area = geometry.box_corners(np.array([40.0, 0, 100, 60]))
    assert geometry.share_of_mask(area, mask) == 0.5
    assert geometry.share_of_mask(WHOLE, mask) == 1
    small = geometry.box_corners(np.array([35.2, 12.2, 36.2, 13.2]))
    assert geometry.share_of_mask(small, mask) == 1 / mask.sum()
    assert geometry.share_of_mask(area, np.zeros(SIZE, bool)) is None
    assert geometry.share_of_mask(UNBOUNDED, mask) is None
    assert np.isnan(geometry.mask_box(np.zeros(SIZE, bool))).all()


@pytest.mark.parametrize(
    ("area", "words"),
    [
        (WHOLE, "not zoomed, centred"),
        (
            turned((14.0, 15, 62, 43.8), 4),
            "zoomed 2.1x, 12 % left and 1 % up of centre, turned 4 degrees clockwise",
        ),
        (
            turned((50, 30, 100, 60), -30),
            "zoomed 2.0x, 25 % right and 25 % down of centre, turned 30",
        ),
        (WHOLE[[1, 0, 3, 2]], "mirrored"),
        ((WHOLE - (50, 30)) * 2 + (50, 30), "zoomed out 2.0x, centred"),
        (np.zeros((4, 2)), "zoomed to a line"),
        (UNBOUNDED, "an area without bounds"),
    ],
)
def test_in_words(area, words):
    assert words in geometry.in_words(area, SIZE)

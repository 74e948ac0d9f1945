"""The comparison of recipes: what it counts, and that every recipe is a configuration."""

import csv

import numpy as np
import pytest
from PIL import Image

from benchmarks import digit_canvases, zoom

SIZE = (100, 200)


def write_predictions(path, rows):
    """Rows of (label, predicted, crop as a box, lesion's box)."""
    names = ["file", "label", "predicted"]
    names += [f"area_{axis}{corner}" for corner in range(4) for axis in "xy"]
    names += [f"lesion_{side}" for side in ("x0", "y0", "x1", "y1")]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for number, (label, predicted, (x0, y0, x1, y1), lesion) in enumerate(rows):
            area = [x0, y0, x1, y0, x1, y1, x0, y1]
            writer.writerow([f"photo-{number}", label, predicted, *area, *lesion])


def test_judges_what_was_right_and_where_the_crop_lay(tmp_path):
    crop, lesion, elsewhere = (0, 0, 100, 50), (20, 20, 40, 40), (150, 60, 170, 80)
    rows = [("a", "a", crop, lesion)] * 19 + [("a", "b", crop, elsewhere)]
    write_predictions(tmp_path / "predictions.csv", rows)
    result = zoom.judge(tmp_path / "predictions.csv", SIZE, None)
    assert (result["photos"], result["right"], result["centre_inside"]) == (20, 19, 19)
    assert result["scale"] == pytest.approx(0.5)
    assert result["iou"] == pytest.approx(0.95 * 400 / 5000)
    assert result["lesion_share_inside"] == pytest.approx(0.95)
    assert result["success"]


@pytest.mark.parametrize(("wrong", "missed"), [(2, 0), (0, 3)])
def test_a_run_fails_by_its_answers_or_by_its_crops(tmp_path, wrong, missed):
    crop, lesion, elsewhere = (0, 0, 100, 50), (20, 20, 40, 40), (150, 60, 170, 80)
    rows = [
        ("a", "b" if number < wrong else "a", crop, elsewhere if number < missed else lesion)
        for number in range(20)
    ]
    write_predictions(tmp_path / "predictions.csv", rows)
    assert not zoom.judge(tmp_path / "predictions.csv", SIZE, None)["success"]


def test_boxes_may_come_from_elsewhere(tmp_path):
    write_predictions(tmp_path / "predictions.csv", [("a", "a", (0, 0, 10, 10), (0, 0, 10, 10))])
    boxes = {"photo-0": np.array([90.0, 90, 100, 100])}
    assert zoom.judge(tmp_path / "predictions.csv", SIZE, boxes)["centre_inside"] == 0


@pytest.mark.parametrize("recipe", ["one crop", "paper-like", "no zoom", "centre crop"])
def test_rivals_see_as_many_crops(recipe):
    base = zoom.synthetic((126, 189), (42, 63)).train
    train = zoom.RECIPES[recipe](zoom.synthetic((126, 189), (42, 63))).train
    assert train.glimpses == 0
    assert train.steps * train.batch_size == base.steps * base.batch_size * base.glimpses


def test_a_canvas_holds_its_digit_where_the_box_says():
    digit = np.zeros((28, 28), np.uint8)
    digit[5:20, 8:18] = 255
    clutter = np.zeros((3, 28, 28), np.uint8)
    canvas, (x0, y0, x1, y1) = digit_canvases.draw_canvas(
        np.random.default_rng(0), digit, clutter=clutter
    )
    assert canvas.shape == digit_canvases.SIZE
    assert (y1 - y0, x1 - x0) == (15, 10)
    assert np.all(canvas[y0:y1, x0:x1] == 255)
    assert canvas.sum() == digit.sum()


def test_canvases_are_a_folder_of_photos_with_boxes(tmp_path, monkeypatch):
    digits = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    monkeypatch.setattr(
        digit_canvases, "read_digits", lambda root, name: (digits, np.arange(12) % 10)
    )
    counts = {"train": 6, "val": 3, "test": 2}
    folder = digit_canvases.make_canvases(tmp_path, tmp_path / "canvases", counts=counts)
    boxes = digit_canvases.read_boxes(folder)
    assert len(boxes) == 11
    for file, (x0, y0, x1, y1) in boxes.items():
        with Image.open(folder / file) as image:
            assert image.size == digit_canvases.SIZE[::-1]
        assert 0 <= x0 < x1 <= 300
        assert 0 <= y0 < y1 <= 200

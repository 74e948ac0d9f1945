"""Figure 1."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_jax.training.filmstrip import Filmstrip

IDENTITY = np.tile(np.eye(2, 3, dtype=np.float32), (4, 1, 1))


class Photos:
    """Ten photos of two classes, each of one colour."""

    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1], np.int32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index) -> dict:
        return {
            "photo": np.full((20, 30, 3), 20 * int(index), np.uint8),
            "label": self.labels[index],
        }


@pytest.fixture
def strip(tmp_path):
    return Filmstrip(tmp_path, Photos(), transform="affine", synthetic=False)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def pictures_in(path: Path) -> int:
    with Image.open(path) as image:
        return image.n_frames


def test_photos_of_every_class_are_followed(strip):
    assert strip.photos[:, 0, 0, 0].tolist() == [0, 120, 20, 140]


def test_frames_stay_and_a_step_taken_twice_is_one(strip, tmp_path):
    crops = np.zeros((4, 10, 15, 3), np.float32)
    for step in (0, 10, 10, 200):
        strip.add(step, IDENTITY, crops + step)
    again = Filmstrip(tmp_path, Photos(), transform="affine", synthetic=False)
    assert [path.name for path in again.frames] == [
        "step-00000000.npz",
        "step-00000010.npz",
        "step-00000200.npz",
    ]
    assert np.load(again.frames[1])["crops"].dtype == np.uint8
    assert np.load(again.frames[1])["crops"].max() == 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:100],
        lambda whole: whole[:60] + bytes(20 * [255]) + whole[80:],
    ],
)
def test_a_damaged_frame_is_left_out_and_stops_no_run(strip, tmp_path, damage):
    for step in (0, 10):
        strip.add(step, IDENTITY, np.zeros((4, 10, 15, 3), np.float32))
    damaged = strip.frames[1]
    damaged.write_bytes(damage(damaged.read_bytes()))
    strip.drop_after(10)
    assert [path.name for path in strip.frames] == ["step-00000000.npz"]
    strip.draw()
    assert size_of(tmp_path / "filmstrip.png")


def test_pictures_show_every_step(strip, tmp_path):
    crops = np.zeros((4, 10, 15, 3), np.float32)
    for step in (0, 10, 20):
        strip.add(step, IDENTITY, crops + step)
    strip.draw()
    few = size_of(tmp_path / "filmstrip.png")
    assert pictures_in(tmp_path / "filmstrip.webp") == 3
    for step in range(30, 100, 10):
        strip.add(step, IDENTITY, crops + step)
    strip.draw()
    assert size_of(tmp_path / "filmstrip.png")[0] > 1.5 * few[0]
    assert pictures_in(tmp_path / "filmstrip.webp") == 10


def test_the_area_of_interest_is_outlined(strip, tmp_path):
    theta = IDENTITY * np.float32(0.5)
    strip.add(0, theta, np.zeros((4, 10, 15, 3), np.float32))
    strip.draw()
    with Image.open(tmp_path / "filmstrip.webp") as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    yellow = (picture[..., 0] > 180) & (picture[..., 1] > 150) & (picture[..., 2] < 110)
    rows, columns = np.nonzero(yellow[:, :240])
    # The middle half of a picture of 240x160, below 24 rows of title.
    assert abs(columns.min() - 60) <= 4
    assert abs(columns.max() - 180) <= 4
    assert abs(rows.min() - (24 + 40)) <= 4
    assert abs(rows.max() - (24 + 120)) <= 4


@pytest.mark.parametrize("transform", ["projective", "tps"])
def test_other_maps_are_drawn_too(tmp_path, transform):
    strip = Filmstrip(tmp_path, Photos(), transform=transform, synthetic=True)
    theta = np.tile(np.eye(3, dtype=np.float32), (4, 1, 1))
    theta = theta if transform == "projective" else np.zeros((4, 16, 2), np.float32)
    strip.add(0, theta, np.zeros((4, 10, 15, 3), np.float32))
    strip.draw()
    assert (tmp_path / "filmstrip.png").is_file()

"""Whatever lies in a folder: a stated outcome for each file, and never a bare traceback."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from made_photos import encode, encode_png, make_pixels
from PIL import Image, ImageChops

from stn_jax import cli
from stn_jax.config import DataConfig
from stn_jax.data.builder import prepare
from stn_jax.training import command

DERM = str(Path(__file__).parents[2] / "configs" / "derm.py")
PNG = encode(make_pixels(1000, (200, 300)))
CUT_OFF = "the file is cut off or damaged"

REFUSED = {
    "zero bytes.jpg": (b"", "the file is empty"),
    **{f"cut at {n} %.png": (PNG[: n * len(PNG) // 100], CUT_OFF) for n in (10, 50, 90)},
    "text.jpg": (b"my notes about a photo\n" * 40, "text, not a photo"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "a web page (HTML), not a photo"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing, not a photo"),
    "1x1.png": (encode(Image.new("RGB", (1, 1))), "1x1 pixels are not a photo"),
    "1x20000.png": (encode(Image.new("RGB", (1, 20_000))), "1x20000 pixels are not a photo"),
    "bomb.png": (
        encode_png(np.zeros((13_000, 13_000 // 8), np.uint8), bits=1, color_type=0),
        "13000x13000 are 169.0 megapixels, more than the limit of 64 (--data.max-megapixels)",
    ),
    "new\nline.jpg": (b"", "the file is empty"),
}
"""File -> content, and why it is left out."""


def animation(kind, seed, **options):
    frames = [Image.fromarray(make_pixels(seed + n)) for n in (0, 1)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def image(seed, mode="RGB"):
    return Image.fromarray(make_pixels(seed)).convert(mode)


TAKEN = {
    "animation.gif": animation("GIF", 1001),
    "animation.webp": animation("WEBP", 1003, lossless=True),
    "animation.png": animation("PNG", 1005),
    "16 bit grey.png": encode_png(
        make_pixels(1007)[..., 0].astype(np.uint16) * 257, bits=16, color_type=0
    ),
    "16 bit RGB.png": encode_png(make_pixels(1008).astype(np.uint16) * 257, bits=16, color_type=2),
    "cmyk.jpg": encode(image(1009, "CMYK"), "JPEG"),
    "inverted.jpg": encode(ImageChops.invert(image(1010, "CMYK")), "JPEG"),
    "palette.png": encode(image(1011).quantize(64), transparency=3),
    "grey and alpha.png": encode(image(1012, "LA")),
    "ünïcödé  皮膚.png": encode(image(1013)),
    "[red]markup.png": encode(image(1014)),
    "n" * 246 + ".png": encode(image(1015)),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as ours
def test_of_a_folder_with_everything_in_it_each_file_has_its_outcome(tmp_path, make_folder):
    root = make_folder({"a": 40, "b": 40})
    for name, content in {**TAKEN, **{file: bad for file, (bad, _) in REFUSED.items()}}.items():
        (root / "a" / name).write_bytes(content)
    (root / "a" / "link.png").symlink_to(tmp_path)
    os.mkfifo(root / "a" / "pipe.png")
    data = DataConfig(root=str(root), photo_size=(24, 36), cache_dir=str(tmp_path / "cache"))
    dataset = prepare(data)
    assert dataset.report["refused"] == {
        **{f"a/{name}": reason for name, (_, reason) in REFUSED.items()},
        "a/link.png": "leads out of the folder",
        "a/pipe.png": "not a file",
    }
    taken = {item["file"] for split in dataset.splits.values() for item in split}
    assert {f"a/{name}" for name in TAKEN} <= taken
    assert len(taken) == dataset.report["taken"] == 80 + len(TAKEN)


def test_a_file_that_may_not_be_read_is_left_out(tmp_path, make_folder, monkeypatch):
    root = make_folder({"a": 12, "b": 12})
    open_file = Path.open

    def open_as_a_stranger(self, *arguments, **options):
        if self.name == "003.png":
            raise PermissionError(13, "Permission denied", str(self))
        return open_file(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_as_a_stranger)
    data = DataConfig(root=str(root), photo_size=(24, 36), cache_dir=str(tmp_path / "cache"))
    report = prepare(data).report
    assert report["refused"] == dict.fromkeys(
        ("a/003.png", "b/003.png"), "cannot be read (Permission denied)"
    )
    assert report["taken"] == 22


def train(monkeypatch, root, tmp_path):
    """Calls train.py in this process; returns its exit status."""
    arguments = [
        *("--config", DERM, "--workdir", str(tmp_path / "run"), "--data.root", str(root)),
        *("--data.cache-dir", str(tmp_path / "cache"), "--data.photo-size", "24", "36"),
        *("--model.crop-size", "16", "24", "--model.view-shrink", "3"),
    ]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    return cli.run(command.main)


def empty_class(root):
    (root / "c").mkdir()


def more_bad_than_good(root):
    for number in range(12):
        (root / "a" / f"bad {number}.jpg").write_bytes(b"")


def the_same_file_in_two_classes(root):
    (root / "b" / "copy.png").write_bytes((root / "a" / "000.png").read_bytes())


def table_of_absent_files(root):
    (root / "photos.csv").write_text("file,label\n1.jpg,a\n2.jpg,b\n")


def more_classes_than_photos(root):
    (root / "photos.csv").write_text("file,label\na/000.png,a\nb/000.png,b\nno.png,c\nno.png,c\n")


def class_that_is_a_link_to_itself(root):
    (root / "c").symlink_to("c")
    (root / "a" / "round.png").symlink_to("round.png")
    the_same_file_in_two_classes(root)


@pytest.mark.parametrize(
    ("counts", "spoil", "message"),
    [
        ({"a": 9}, None, "only one class, a; a classifier needs two or more"),
        ({"a": 9, "b": 9}, empty_class, "c: no photos in this class folder; add some, or"),
        ({"train/a": 4, "train/b": 4, "test/a": 2}, None, "class b has no photo in test"),
        ({"a": 1, "b": 1, "c": 1}, None, "class a has 1 photos left, too few for 1 in test"),
        ({"a": 1, "b": 1}, more_classes_than_photos, "1 of 3 files were refused, more than"),
        ({"a": 9, "b": 9}, more_bad_than_good, "12 of 30 files were refused, more than"),
        ({"a": 9, "b": 9}, the_same_file_in_two_classes, "a/000.png is the same photo as b/copy"),
        ({"a": 9, "b": 9}, class_that_is_a_link_to_itself, "a/000.png is the same photo as b/copy"),
        ({"a": 9, "b": 9}, table_of_absent_files, "2 of 2 files were refused, more than"),
    ],
)
def test_a_folder_of_no_use_ends_the_program_with_words(
    tmp_path, make_folder, monkeypatch, capsys, counts, spoil, message
):
    root = make_folder(counts)
    if spoil:
        spoil(root)
    assert train(monkeypatch, root, tmp_path) == 2
    said = capsys.readouterr().err
    assert message in said.partition("error: ")[2]
    assert "Traceback" not in said

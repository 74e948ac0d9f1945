import os
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_photos import encode, encode_png, make_pixels
from PIL import ExifTags, Image, ImageChops, ImageCms, PngImagePlugin

from stn_jax.data.photo import (
    HEIC_SUPPORTED,
    PhotoError,
    load_photo,
    load_unpadded,
    pad,
    read_bytes,
)
from stn_jax.data.photo.jpeg import count_scans

SIZE = (60, 90)
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}
"""EXIF orientation -> how a camera that writes it has stored the upright picture."""


def load(content, size=SIZE, **options):
    return load_photo(content, size=size, **options).pixels


def tagged(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def refusal(content, **options):
    with pytest.raises(PhotoError) as caught:
        load_photo(content, size=SIZE, name="the photo", **options)
    assert str(caught.value) == f"the photo: {caught.value.reason}"
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_every_lossless_kind_gives_its_pixels_back(kind):
    pixels = make_pixels(1)
    options = {"lossless": True} if kind == "WEBP" else {}
    if kind == "GIF":
        pixels = np.asarray(Image.fromarray(pixels).quantize(200).convert("RGB"))
    np.testing.assert_array_equal(load(encode(pixels, kind, **options)), pixels)


def test_jpeg_and_the_several_pictures_that_phones_write_into_one():
    pixels = make_pixels(2)
    plain = load(encode(pixels, "JPEG", quality=95))
    assert np.abs(plain.astype(int) - pixels).mean() < 4
    second = Image.fromarray(make_pixels(3))
    several = encode(pixels, "MPO", quality=95, save_all=True, append_images=[second])
    np.testing.assert_array_equal(load(several), plain)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_every_exif_orientation_comes_out_upright(kind, orientation):
    blocks = make_pixels(4, (12, 18))
    upright = blocks.repeat(16, 0).repeat(16, 1)  # JPEG keeps uniform blocks alike when turned
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    stored = np.ascontiguousarray(TURNS[orientation](upright))
    content = encode(stored, kind, exif=tagged(orientation), **options)
    photo = load_photo(content, size=upright.shape[:2])
    assert photo.original_size == upright.shape[:2]
    assert np.abs(photo.pixels.astype(int) - upright).max() <= (2 if kind == "JPEG" else 0)


def test_broken_exif_is_no_reason_to_lose_a_photo():
    pixels = make_pixels(5)
    content = encode(pixels, exif=b"Exif\0\0II*\0\xff\xff\xff\xff not really")
    np.testing.assert_array_equal(load(content), pixels)


def test_sixteen_bits_may_count_from_white():
    grey = np.linspace(0, 65535, 60 * 90).reshape(60, 90).astype(np.uint16)
    content = encode(Image.fromarray(grey), "TIFF")
    photometric = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    assert content.count(photometric + b"\x01") == 1
    negative = content.replace(photometric + b"\x01", photometric + b"\x00")
    np.testing.assert_array_equal(load(negative), 255 - load(content))


def test_sixteen_bits_are_scaled_not_cut_off():
    grey = np.linspace(0, 65535, 60 * 90).reshape(60, 90).astype(np.uint16)
    wanted = np.rint(grey / 257)
    for content in (
        encode(Image.fromarray(grey), "PNG"),
        encode(Image.fromarray(grey), "TIFF"),
        encode(Image.frombytes("I;16B", (90, 60), grey.astype(">u2").tobytes()), "TIFF"),
        encode_png(grey, bits=16, color_type=0),
    ):
        pixels = load(content).astype(int)
        assert np.abs(pixels - wanted[..., None]).max() <= 1
    see_through = load(encode(Image.fromarray(grey), "PNG", transparency=int(grey[0, 0])))
    assert see_through[0, 0, 0] == 255
    assert np.abs(see_through.astype(int) - wanted[..., None]).ravel()[3:].max() <= 1
    colour = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)
    pixels = load(encode_png(colour, bits=16, color_type=2)).astype(int)
    assert np.abs(pixels - colour / 257).max() <= 1


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_without_an_agreed_range_are_refused(mode):
    values = np.full((60, 90), 1e6)
    image = Image.fromarray(values.astype(np.float32 if mode == "F" else np.int32))
    assert "save it as 8 or 16 bit" in refusal(encode(image, "TIFF"))


def test_cmyk_of_both_kinds():
    ink = Image.new("CMYK", (90, 60), (0, 255, 255, 0))  # full magenta and yellow: red
    ink.paste((255, 0, 0, 0), (0, 0, 45, 60))  # cyan
    adobe = encode(ink, "JPEG", quality=100)
    assert b"Adobe" in adobe
    upright = encode(ImageChops.invert(ink), "JPEG", quality=100)
    at = upright.index(b"\xff\xee")
    length = struct.unpack(">H", upright[at + 2 : at + 4])[0]
    plain = upright[:at] + upright[at + 2 + length :]
    assert b"Adobe" not in plain
    for content in (adobe, plain, encode(ink, "TIFF")):
        pixels = load(content)
        np.testing.assert_allclose(pixels[30, 10], [0, 255, 255], atol=6)
        np.testing.assert_allclose(pixels[30, 80], [255, 0, 0], atol=6)


def test_transparency_shows_white():
    grey = Image.new("LA", (90, 60), (0, 0))
    colour = Image.new("RGBA", (90, 60), (200, 0, 0, 0))
    grey.paste((10, 255), (0, 0, 45, 60))
    colour.paste((10, 20, 30, 255), (0, 0, 45, 60))
    half = Image.new("RGBA", (90, 60), (0, 0, 0, 128))
    palette = colour.quantize(8)
    one_bit = Image.new("1", (90, 60), 1)
    one_bit.paste(0, (0, 0, 45, 60))
    keyed = Image.new("RGB", (90, 60), (1, 2, 3))
    keyed.paste((10, 20, 30), (0, 0, 45, 60))
    for content, left in (
        (encode(grey), (10, 10, 10)),
        (encode(colour), (10, 20, 30)),
        (encode(colour, "WEBP", lossless=True), (10, 20, 30)),
        (encode(palette, "PNG"), (10, 20, 30)),
        (encode(palette, "GIF", transparency=palette.getpixel((80, 30))), (10, 20, 30)),
        (encode(one_bit), (0, 0, 0)),
        (encode(one_bit, transparency=1), (0, 0, 0)),
        (encode(keyed, transparency=(1, 2, 3)), (10, 20, 30)),
    ):
        pixels = load(content)
        np.testing.assert_allclose(pixels[30, 10], left, atol=1)
        np.testing.assert_array_equal(pixels[30, 80], [255, 255, 255])
    np.testing.assert_allclose(load(encode(half))[0, 0], [127, 127, 127], atol=1)


def make_profile(columns):
    """An ICC profile of RGB with these (X, Y, Z) of its primaries and sRGB's own curve."""
    fixed = lambda xyz: struct.pack(">3i", *(round(v * 65536) for v in xyz))  # noqa: E731
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"swap\0" + bytes(67 + 8)
    tags = {
        b"desc": text,
        b"wtpt": b"XYZ " + bytes(4) + fixed((0.9642, 1.0, 0.8249)),
        **{name: b"XYZ " + bytes(4) + fixed(xyz) for name, xyz in columns.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
        b"cprt": b"text" + bytes(4) + b"none\0",
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:12], header[12:24], header[36:40] = b"\2\x20\0\0", b"mntrRGB XYZ ", b"acsp"
    header[68:80] = fixed((0.9642, 1.0, 0.8249))
    return bytes(header) + table + body


RED, GREEN, BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def test_an_embedded_profile_is_converted_to_srgb():
    swapped = make_profile({b"rXYZ": BLUE, b"gXYZ": GREEN, b"bXYZ": RED})
    pixels = np.full((60, 90, 3), (230, 120, 40), np.uint8)
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        found = load(encode(pixels, kind, icc_profile=swapped, **options))
        np.testing.assert_allclose(found[30, 45], [40, 120, 230], atol=6)


def test_srgb_and_broken_profiles_change_nothing():
    pixels = make_pixels(6)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"not a profile at all", srgb[:200]):
        np.testing.assert_array_equal(load(encode(pixels, icc_profile=profile)), pixels)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (90, 60), color) for color in ((200, 0, 0), (0, 0, 200))]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_allclose(load(content)[30, 45], [200, 0, 0], atol=2)


LOOKALIKES = {
    b"": "the file is empty",
    b"my notes about a photo\n" * 40: "text, not a photo",
    b"<!DOCTYPE html><html><body>404</body></html>": "a web page (HTML), not a photo",
    b"\xef\xbb\xbf\r\n<html><body>404</body></html>": "a web page (HTML), not a photo",
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>': "an SVG drawing",
    b"%PDF-1.7\n\xe2\xe3": "a PDF document",
    b"\x89PNG\r\n\x1a\n": "the file is cut off or damaged",
    bytes(range(256)) * 8: "not a photo, or of a kind that cannot be read (JPEG, PNG, WebP, TIFF, "
    "BMP and GIF can)",
}


@pytest.mark.parametrize("content", LOOKALIKES, ids=lambda content: content[:9].decode("latin1"))
def test_what_is_no_photo_is_refused_with_what_it_is(content):
    assert refusal(content).startswith(LOOKALIKES[content])


@pytest.mark.skipif(HEIC_SUPPORTED, reason="pillow-heif is installed")
def test_heic_without_its_decoder_says_what_to_install():
    assert "pip install pillow-heif" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


needs_heic = pytest.mark.skipif(not HEIC_SUPPORTED, reason="pillow-heif is not installed")
HEIC_PROPERTIES = {b"irot": {3, 5, 6, 7, 8}, b"imir": {2, 4, 5, 7}}


@needs_heic
def test_heic_with_its_decoder_is_a_photo_like_any_other():
    pixels = np.full((*SIZE, 3), (200, 120, 90), np.uint8)
    pixels[:30, :45] = (250, 40, 40)
    pixels[40:, 60:] = (30, 60, 240)
    content = encode(pixels, "HEIF", quality=95)
    difference = np.abs(load(content).astype(int) - pixels)
    assert difference.mean() < 3
    assert np.median(difference) <= 2


@needs_heic
@pytest.mark.parametrize("orientation", TURNS)
def test_heic_comes_out_upright_once_though_it_says_twice_how_it_is_turned(orientation):
    blocks = np.random.default_rng(6).choice(np.array([60, 190], np.uint8), (3, 5, 1))
    upright = blocks.repeat(16, 0).repeat(16, 1).repeat(3, 2)
    stored = np.ascontiguousarray(TURNS[orientation](upright))
    # As bytes, pillow-heif keeps the tag and writes it as properties of the container besides.
    exif = tagged(orientation).tobytes()
    content = encode(stored, "HEIF", quality=95, exif=exif)
    for name, orientations in HEIC_PROPERTIES.items():
        assert (name in content) == (orientation in orientations)
    photo = load_photo(content, size=upright.shape[:2])
    assert photo.original_size == upright.shape[:2]
    assert np.abs(photo.pixels.astype(int) - upright).max() <= 20


CUT_OFF = [
    *((kind, {}) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")),
    ("JPEG", {"progressive": True}),
    ("TIFF", {"compression": "tiff_lzw"}),
    pytest.param("HEIF", {}, marks=needs_heic),
]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("kind", "options"), CUT_OFF)
@pytest.mark.filterwarnings("ignore:.*EXIF:UserWarning:PIL")
def test_files_that_were_cut_off_are_refused(kind, options, share):
    content = encode(make_pixels(7, (200, 300)), kind, **options)
    reason = refusal(content[: int(share * len(content))])
    assert reason.startswith("the file is cut off or damaged")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20_000, 1), (1, 20_000)])
def test_lines_and_tracking_pixels_are_refused(width, height):
    assert refusal(encode(Image.new("RGB", (width, height)))) == (
        f"{width}x{height} pixels are not a photo"
    )


def test_two_pixels_a_side_are_enough():
    assert load(encode(Image.new("RGB", (2, 2)))).shape == (*SIZE, 3)


def test_limits_are_options_named_in_the_refusal():
    content = encode(make_pixels(9))
    load(content, max_megapixels=60 * 90 / 1e6, max_file_bytes=float(len(content)))
    assert "--data.max-megapixels" in refusal(content, max_megapixels=0.005)
    assert "--data.max-file-megabytes" in refusal(content, max_file_bytes=1000.0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path):
    bomb = encode_png(np.zeros((13_000, 13_000 // 8), np.uint8), bits=1, color_type=0)
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert len(bomb) < 40_000
    code = """
        import re, sys
        from pathlib import Path
        from stn_jax.data.photo import PhotoError, load_photo

        def peak():  # ru_maxrss would start with the peak of the process that starts this one
            return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

        before = peak()
        try:
            load_photo(sys.argv[1], size=(60, 90))
        except PhotoError as error:
            print(peak() - before, error.reason)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "bomb.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kilobytes, reason = result.split(" ", 1)
    assert "13000x13000 are 169.0 megapixels, more than the limit of 64" in reason
    assert int(kilobytes) < 8_000


def test_text_hidden_in_a_png_is_not_unpacked_without_bound():
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", "x" * 100_000_000, zip=True)
    assert refusal(encode(make_pixels(10), pnginfo=notes))


def progressive(scans: int, kind: str = "JPEG", **options) -> bytes:
    """A JPEG file in whose first image the last scan comes again and again."""
    content = encode(make_pixels(0), kind, progressive=True, **options)
    end = content.index(b"\xff\xd9")
    last = content.rindex(b"\xff\xda", 0, end)
    before = count_scans(content)
    return content[:last] + content[last:end] * (scans - before + 1) + content[end:]


def test_a_jpeg_that_goes_over_its_pixels_hundreds_of_times_is_refused():
    assert count_scans(progressive(40)) == 40
    load(progressive(100))
    several = {"kind": "MPO", "save_all": True, "append_images": [Image.new("RGB", (90, 60))]}
    load(progressive(100, **several))
    for options in ({}, several):
        with pytest.raises(PhotoError, match="more than 100 scans"):
            load(progressive(101, **options))


def test_what_is_beside_a_jpegs_pixels_is_no_scan():
    content = encode(make_pixels(0), "JPEG")
    comment = b"\xff\xfe" + (402).to_bytes(2) + b"\xff\xda" * 200
    behind = b"\xff\xda" * 200  # such as a phone's short film
    assert count_scans(content[:2] + comment + content[2:] + behind) == 1


def test_unreadable_things_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, reason in (
        (tmp_path / "absent.jpg", "cannot be read (No such file or directory)"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe.jpg", "not a file"),
    ):
        assert refusal(path) == reason


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "locked.jpg"
    path.write_bytes(b"x")

    def read_bytes_as_a_stranger(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", read_bytes_as_a_stranger)
    with pytest.raises(PhotoError, match=r"cannot be read \(Permission denied\)"):
        read_bytes(path, name="locked.jpg", max_file_bytes=1e6)


def test_an_error_survives_the_way_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(PhotoError("a.jpg", "why")))
    assert (str(error), error.name, error.reason) == ("a.jpg: why", "a.jpg", "why")


def test_pad_keeps_the_aspect_and_fills_with_the_colour():
    pixels = make_pixels(11, (60, 60))
    photo = load_photo(encode(pixels), size=(60, 91), fill_color=(10.4, 20.6, 30.0))
    np.testing.assert_array_equal(photo.pixels[:, 15:75], pixels)
    for outside in (photo.pixels[:, :15], photo.pixels[:, 75:]):
        assert (outside == [10, 21, 30]).all()
    assert (photo.scale, photo.offset) == ((1.0, 1.0), (15.0, 0.0))


def test_pad_leaves_a_pixel_of_a_strip():
    strip = np.full((3, 900, 3), 200, np.uint8)
    assert (load(encode(strip), fill_color=(0.0, 0.0, 0.0)).max(axis=(1, 2)) > 0).sum() == 1


def test_crop_cuts_what_is_over_on_both_sides():
    pixels = make_pixels(12, (60, 120))
    photo = load_photo(encode(pixels), size=SIZE, fit="crop")
    np.testing.assert_array_equal(photo.pixels, pixels[:, 15:105])
    assert photo.offset == (-15.0, 0.0)


def test_stretch_uses_every_pixel_of_the_photo_and_of_the_size():
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    found = load(encode(pixels), fit="stretch")
    assert found[:, :43].max() == 0
    assert found[:, 47:].min() == 255


def test_portraits_are_turned_only_when_asked():
    upright = make_pixels(13, (90, 60))
    still = load_photo(encode(upright), size=SIZE)
    assert not still.turned
    assert still.scale == (2 / 3, 2 / 3)
    turned = load_photo(encode(upright), size=SIZE, rotate_to_fit=True)
    assert turned.turned
    np.testing.assert_array_equal(turned.pixels, np.rot90(upright))
    landscape = load_photo(encode(make_pixels(13)), size=SIZE, rotate_to_fit=True)
    assert not landscape.turned
    for photo_size, size in (((60, 60), (90, 60)), ((60, 60), (60, 90)), ((90, 60), (60, 60))):
        square = load_photo(encode(make_pixels(13, photo_size)), size=size, rotate_to_fit=True)
        assert not square.turned


@settings(max_examples=60, deadline=None)
@given(
    photo_size=st.tuples(st.integers(20, 150), st.integers(20, 150)),
    size=st.tuples(st.integers(20, 100), st.integers(20, 100)),
    fit=st.sampled_from(["pad", "crop", "stretch"]),
    orientation=st.sampled_from(sorted(TURNS)),
    rotate_to_fit=st.booleans(),
)
def test_positions_lead_back_to_the_upright_photo(
    photo_size, size, fit, orientation, rotate_to_fit
):
    height, width = photo_size
    spot = (width // 2 + 3, height // 2 - 3)  # (x, y), inside whatever is cut
    upright = np.zeros((height, width, 3), np.float64)
    y, x = np.mgrid[:height, :width]
    upright[...] = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 18)[..., None]
    stored = np.ascontiguousarray(TURNS[orientation](upright.astype(np.uint8)))
    photo = load_photo(
        encode(stored, exif=tagged(orientation)),
        size=size,
        fit=fit,
        rotate_to_fit=rotate_to_fit,
        fill_color=(0.0, 0.0, 0.0),
    )
    assert photo.pixels.shape == (*size, 3)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    weight = photo.pixels[..., 0].astype(float)
    there = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    if fit != "crop":
        tolerance = 1 + 1.5 / min(photo.scale)
        back = photo.to_original(there[None])[0]
        np.testing.assert_allclose(back, np.add(spot, 0.5), atol=tolerance)
    corners = np.array([[0.0, 0.0], [size[1], size[0]]])
    box = np.sort(photo.to_original(corners), axis=0)
    if fit == "stretch":
        np.testing.assert_allclose(box, [[0, 0], [width, height]], atol=1e-6)
    if fit == "crop":
        assert box.min() >= -1e-6
        assert (box[1] <= [width + 1e-6, height + 1e-6]).all()


def test_shrinking_does_not_alias():
    checks = np.indices((480, 720)).sum(axis=0) % 2 * 255
    pixels = load(encode(np.repeat(checks[..., None], 3, axis=-1).astype(np.uint8)))
    assert np.abs(pixels[2:-2, 2:-2].astype(int) - 127).max() <= 3


def test_very_large_jpegs_are_decoded_smaller_to_nearly_the_same():
    pixels = make_pixels(14, (1200, 1800))
    drafted = load_photo(encode(pixels, "JPEG", quality=95), size=SIZE)
    whole = load_photo(encode(pixels), size=SIZE)
    assert drafted.original_size == (1200, 1800)
    assert (drafted.scale, drafted.offset) == (whole.scale, whole.offset)
    assert np.abs(drafted.pixels.astype(int) - whole.pixels).max() <= 4


def test_import_and_serving_get_the_same_pixels(tmp_path):
    content = encode(make_pixels(15, (333, 222)), "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    color = (12.0, 34.0, 56.0)
    stored = load_unpadded(tmp_path / "a.jpg", size=SIZE).pixels
    served = load_photo(content, size=SIZE, fill_color=color).pixels
    np.testing.assert_array_equal(pad(stored, SIZE, color), served)

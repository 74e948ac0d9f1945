import numpy as np
import pytest
from made_photos import encode, make_pixels
from PIL import Image, ImageEnhance

from stn_jax.data.audit import MAX_DISTANCE, Pair, Print, find_duplicates, make_print
from stn_jax.data.duplicates import judge
from stn_jax.data.errors import DataError
from stn_jax.data.folder import Entry
from stn_jax.data.importer import Imported
from stn_jax.data.photo import load_unpadded

SIZE = (120, 180)


def pixels_of(content):
    return load_unpadded(content, size=SIZE).pixels


def find_among(photos):
    return find_duplicates([make_print(pixels) for pixels in photos], photos.__getitem__)


def kinds(*contents):
    found = find_among([pixels_of(content) for content in contents])
    return [(pair.first, pair.second, pair.kind) for pair in found]


@pytest.fixture(scope="module")
def original():
    return Image.fromarray(make_pixels(1, (480, 720)))


def test_equal_pixels_are_found_whatever_the_file(original):
    png = encode(original)
    other = encode(make_pixels(2, (480, 720)))
    tagged = encode(original, compress_level=1, dpi=(300, 300))
    assert tagged != png
    assert kinds(png, other, encode(original, "BMP"), tagged) == [
        (0, 2, "exact"),
        (0, 3, "exact"),
        (2, 3, "exact"),
    ]


def test_one_grey_level_makes_an_exact_copy_a_near_one():
    pixels = make_pixels(1, SIZE)
    other = pixels.copy()
    other[60, 90, 1] ^= 1
    same_prints = [make_print(each) for each in (pixels, other)]
    np.testing.assert_array_equal(same_prints[0].thumbnail, same_prints[1].thumbnail)
    assert find_among([pixels, other]) == [Pair(0, 1, "near")]
    assert find_among([pixels, pixels.copy()]) == [Pair(0, 1, "exact")]


def test_photos_of_other_shapes_are_no_exact_copies():
    white = np.full((120, 180, 3), 255, np.uint8)
    assert find_among([white, white.reshape(180, 120, 3)]) == [Pair(0, 1, "near")]


def test_pixels_are_read_only_of_photos_with_equal_prints_and_once():
    pixels = [make_pixels(seed, SIZE) for seed in range(20)]
    photos, read = [*pixels, pixels[7], pixels[7], pixels[3] + np.uint8(1)], []

    def read_pixels(place):
        read.append(place)
        return photos[place]

    find_duplicates([make_print(each) for each in photos], read_pixels)
    assert sorted(read) == [7, 20, 21]


def test_recompressed_resized_and_slightly_changed_copies_are_found(original):
    changed = [
        encode(original, "JPEG", quality=50),
        encode(original.resize((360, 240), Image.Resampling.LANCZOS), "JPEG", quality=90),
        encode(ImageEnhance.Brightness(original).enhance(1.02), "JPEG"),
        encode(original.crop((4, 4, 716, 476)), "JPEG"),
    ]
    for content in changed:
        assert kinds(encode(original), content) == [(0, 1, "near")]


def test_different_photos_are_not_duplicates():
    assert find_among([make_pixels(seed, SIZE) for seed in range(150)]) == []


def test_a_like_layout_in_other_colours_is_no_duplicate(original):
    # Every photo of a mole in the middle has nearly the same 64-bit hash.
    other = Image.merge("RGB", original.split()[::-1])
    grey = [original.convert("L"), original.convert("L").point(lambda level: level * 0.8)]
    for pair in ([original, other], grey):
        assert kinds(*(encode(image) for image in pair)) == []


def flipped(bits, count):
    changed = np.unpackbits(bits)
    changed[np.random.default_rng(count).choice(64, count, replace=False)] ^= 1
    return np.packbits(changed)


def test_every_pair_within_the_distance_is_compared_and_none_beyond():
    rng = np.random.default_rng(0)
    thumbnail = np.zeros((16, 16, 3), np.uint8)
    bases = [rng.integers(0, 256, 8).astype(np.uint8) for _ in range(40)]
    for distance in range(MAX_DISTANCE + 3):
        prints = [
            Print(bits=bits, thumbnail=thumbnail)
            for base in bases
            for bits in (base, flipped(base, distance))
        ]
        found = find_duplicates(prints, lambda place: np.full((2, 2, 3), place, np.uint8))
        found = {(pair.first, pair.second) for pair in found}
        wanted = {(2 * i, 2 * i + 1) for i in range(40)} if distance <= MAX_DISTANCE else set()
        assert found == wanted, distance


@pytest.mark.parametrize(("levels", "found"), [(6, [Pair(0, 1, "near")]), (7, [])])
def test_thumbnails_may_differ_by_six_levels(levels, found):
    prints = [
        Print(bits=np.zeros(8, np.uint8), thumbnail=np.full((16, 16, 3), level, np.uint8))
        for level in (100, 100 + levels)
    ]
    assert (
        find_duplicates(prints, lambda place: pytest.fail("equal prints alone are read")) == found
    )


def test_a_print_tells_patches_that_are_darker_than_their_right_neighbours():
    rising = np.broadcast_to(np.arange(180, dtype=np.uint8)[None, :, None], (120, 180, 3))
    for pixels, share in ((rising, 1), (rising[:, ::-1], 0), (np.zeros_like(rising), 0)):
        bits = np.unpackbits(make_print(np.ascontiguousarray(pixels)).bits)
        assert bits.mean() == share


def test_none_and_one_photo_have_no_duplicates():
    assert find_among([]) == []
    assert find_among([make_pixels(0)]) == []


def photo(file, *, label="a", split="", group=""):
    return Imported(
        entry=Entry(file=file, label=label, split=split, group=group),
        label="ab".index(label),
        print=make_print(make_pixels(0)),
        color_sum=(0, 0, 0),
        pixel_count=1,
        enlarged=False,
        original_size=(24, 36),
    )


def test_copies_of_one_class_are_one_unit_with_their_groups():
    photos = [photo("1"), photo("2", group="p"), photo("3", group="p"), photo("4"), photo("5")]
    pairs = [Pair(0, 1, "exact"), Pair(2, 3, "near")]
    verdict = judge(photos, pairs, drop=False)
    assert len(set(verdict.units[:4])) == 1
    assert verdict.units[4] == "5"
    assert (verdict.dropped, verdict.kept) == ({}, pairs)


def test_units_are_groups_where_known_and_else_files():
    photos = [photo("1", group="p"), photo("2", group="p"), photo("3")]
    assert judge(photos, [], drop=False).units == ["p", "p", "3"]


def test_contradicting_labels_stop_with_the_pairs_and_the_way_out():
    photos = [photo("a/1"), photo("b/1", label="b"), photo("a/2"), photo("b/2", label="b")]
    pairs = [Pair(0, 1, "exact"), Pair(2, 3, "near")]
    with pytest.raises(DataError) as caught:
        judge(photos, pairs, drop=False)
    message = str(caught.value)
    assert "2 pairs of photos contradict each other" in message
    assert "a/1 is the same photo as b/1, but one is a, one b" in message
    assert "a/2 looks the same as b/2" in message
    assert "--data.duplicates drop" in message


def test_long_lists_of_contradictions_are_cut_short_and_counted():
    photos = [photo(f"{i}", label="ab"[i % 2]) for i in range(100)]
    with pytest.raises(DataError) as caught:
        judge(photos, [Pair(i, i + 1, "exact") for i in range(0, 100, 2)], drop=False)
    lines = str(caught.value).splitlines()
    assert len(lines) < 25
    assert "... and 30 more pairs" in lines


def test_dropping_leaves_out_both_of_a_pair_in_two_classes():
    photos = [photo("a/1"), photo("b/1", label="b"), photo("a/2")]
    verdict = judge(photos, [Pair(0, 1, "exact"), Pair(0, 2, "near")], drop=True)
    assert verdict.dropped == {
        0: "is the same photo as b/1, but one is a, one b",
        1: "is the same photo as a/1, but one is a, one b",
    }
    assert verdict.kept == []
    assert len(set(verdict.units)) == 3


@pytest.mark.parametrize(
    ("splits", "loser"), [(("train", "test"), 0), (("test", "val"), 1), (("val", "train"), 1)]
)
def test_dropping_leaves_out_the_copy_further_from_the_test(splits, loser):
    photos = [photo("1", split=splits[0]), photo("2", split=splits[1])]
    with pytest.raises(DataError, match=f"but one is in {splits[0]}, one in {splits[1]}"):
        judge(photos, [Pair(0, 1, "exact")], drop=False)
    assert list(judge(photos, [Pair(0, 1, "exact")], drop=True).dropped) == [loser]


def test_copies_in_one_given_split_or_with_none_given_are_kept():
    photos = [photo("1", split="test"), photo("2", split="test"), photo("3")]
    pairs = [Pair(0, 1, "exact"), Pair(0, 2, "exact")]
    assert judge(photos, pairs, drop=False).kept == pairs

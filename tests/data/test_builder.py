import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_photos import encode, make_pixels
from PIL import ExifTags, Image

from stn_jax.config import Config, ConfigError, DataConfig
from stn_jax.data import builder, sources
from stn_jax.data.builder import DataError, prepare, resolve_source
from stn_jax.data.photo import load_photo

SIZE = (24, 36)


@pytest.fixture
def data(tmp_path, make_folder):
    """A configuration over 24 + 16 photos, each class in its folder."""
    root = make_folder({"eczema": 24, "psoriasis": 16})
    return DataConfig(root=str(root), photo_size=SIZE, cache_dir=str(tmp_path / "cache"))


def everything(dataset):
    return {item["file"]: item for split in dataset.splits.values() for item in split}


def folders_of(data):
    """The imports in the cache, and when each was made."""
    found = (path for path in os.scandir(data.cache_dir) if path.is_dir())
    return {path.name: path.stat().st_ino for path in found}


def test_every_photo_arrives_as_serving_would_read_it(data):
    dataset = prepare(data)
    found = everything(dataset)
    assert len(found) == 40
    assert dataset.classes == ("eczema", "psoriasis")
    for file, item in found.items():
        served = load_photo(os.path.join(data.root, file), size=SIZE, fill_color=dataset.mean_color)
        np.testing.assert_array_equal(item["photo"], served.pixels)
        assert dataset.classes[item["label"]] == file.split("/")[0]
        assert item["group"] == ""
        assert np.isnan(item["box"]).all()


def test_photos_of_another_shape_are_padded_with_the_mean_colour_of_training(data):
    for number in range(24):
        square = encode(make_pixels(100 + number, (60, 60)))
        (Path(data.root) / "eczema" / f"{number:03d}.png").write_bytes(square)
    dataset = prepare(data)
    training = [item for item in dataset.splits["train"] if item["label"] == 0]
    for item in training:
        edge = np.rint(dataset.mean_color).astype(np.uint8)
        assert (item["photo"][:, :6] == edge).all()
        assert (item["photo"][:, -6:] == edge).all()
    pixels = [
        item["photo"][:, 6:-6] if item["label"] == 0 else item["photo"]
        for item in dataset.splits["train"]
    ]
    mean = np.concatenate([photo.reshape(-1, 3) for photo in pixels]).mean(axis=0)
    np.testing.assert_allclose(dataset.mean_color, mean, rtol=1e-9)


def test_labels_are_known_without_reading_photos(data):
    for split in prepare(data).splits.values():
        assert split.labels.tolist() == [item["label"] for item in split]
        assert split.labels.dtype == np.int32


def test_a_table_brings_groups_and_metadata_to_the_records(data):
    root = Path(data.root)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = [f"{f},{f.split('/')[0]},p{i // 2},FST{i % 6}\n" for i, f in enumerate(files)]
    (root / "photos.csv").write_text("file,label,group,skin_type\n" + "".join(rows))
    dataset = prepare(data)
    homes = {}
    for split, source in dataset.splits.items():
        for item in source:
            index = files.index(item["file"])
            assert item["group"] == f"p{index // 2}"
            assert json.loads(item["metadata"]) == {"skin_type": f"FST{index % 6}"}
            assert homes.setdefault(item["group"], split) == split


BAD = {
    "zero.jpg": b"",
    "text.jpg": b"not a photo\n" * 20,
    "cut.png": encode(make_pixels(1))[:400],
}


def test_three_bad_files_of_a_thousand_are_left_out_and_said(tmp_path, make_folder, capsys):
    root = make_folder({"a": 497, "b": 500})
    for name, content in BAD.items():
        (root / "a" / name).write_bytes(content)
    data = DataConfig(root=str(root), photo_size=(12, 18), cache_dir=str(tmp_path / "cache"))
    dataset = prepare(data)
    assert dataset.report["taken"] == 997
    assert sum(len(split) for split in dataset.splits.values()) == 997
    assert dataset.report["refused"] == {
        "a/cut.png": "the file is cut off or damaged",
        "a/text.jpg": "text, not a photo",
        "a/zero.jpg": "the file is empty",
    }
    printed = capsys.readouterr().err
    assert "photos: 997 photos taken, 3 refused" in printed
    assert "a/zero.jpg: the file is empty" in printed


def test_more_than_a_fifth_refused_stops_and_lists_them(data):
    root = Path(data.root)
    for number in range(11):
        (root / "eczema" / f"bad {number}.jpg").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        prepare(data)
    message = str(caught.value)
    assert "11 of 51 files were refused, more than --data.max-refused 0.2" in message
    assert message.count("the file is empty") == 11
    assert prepare(dataclasses.replace(data, max_refused=0.3)).report["taken"] == 40


def test_a_fifth_refused_is_still_taken(data):
    for number in range(10):
        (Path(data.root) / "eczema" / f"bad {number}.jpg").write_bytes(b"")
    assert prepare(data).report["taken"] == 40


def test_shards_without_any_usable_photo_are_no_trouble(data):
    for number in range(40):
        (Path(data.root) / "eczema" / f"000 bad {number:02d}.jpg").write_bytes(b"")
    assert len(everything(prepare(dataclasses.replace(data, max_refused=1.0)))) == 40


@pytest.mark.parametrize("other", ["psoriasis", "rosacea"])
def test_a_class_without_usable_photos_stops(data, other):
    folder = Path(data.root) / other
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.write_bytes(b"")
    (folder / "only.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=f"class {other} has no usable photo left; refused were"):
        prepare(dataclasses.replace(data, max_refused=1.0))


def test_no_usable_photo_at_all_stops(data):
    for path in Path(data.root).rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="class eczema has no usable photo left"):
        prepare(dataclasses.replace(data, max_refused=1.0))


def test_the_report_lists_counts_ignored_files_and_warnings(data):
    root = Path(data.root)
    (root / "eczema" / "notes.txt").write_text("seen twice")
    (root / "stray.jpg").write_bytes(b"x")
    (root / "eczema" / "small.png").write_bytes(encode(make_pixels(99, (12, 18))))
    report = prepare(data).report
    assert json.loads(json.dumps(report)) == report
    assert report["name"] == "photos"
    assert report["photo_size"] == [24, 36]
    assert report["ignored"] == ["eczema/notes.txt", "stray.jpg"]
    assert report["splits"]["train"] == {"eczema": 17, "psoriasis": 12}
    assert (
        sum(sum(counts.values()) for counts in report["splits"].values()) == report["taken"] == 41
    )
    assert report["warnings"] == [
        "files outside the class folders: 1, such as stray.jpg",
        "1 of 41 photos have fewer pixels than 24x36 and were enlarged: they hold no finer detail "
        "for a zoom to find",
    ]


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_a_shape_that_tells_the_class_is_warned_of(data, fit):
    root = Path(data.root)
    for number in range(20):  # another camera, held either way
        size = (60, 80) if number % 2 else (80, 60)
        content = encode(make_pixels(300 + number, size))
        (root / "psoriasis" / f"other camera {number}.png").write_bytes(content)
    assert prepare(dataclasses.replace(data, fit=fit)).report["warnings"] == [
        "all 20 photos of the shape 1.33:1 are psoriasis, of the others 16 of 40: a network can "
        "tell them by the shape (--data.fit crop hides it), or by whatever else their camera "
        "leaves on them, and not by the skin"
    ]
    (root / "eczema" / "of that camera.png").write_bytes(encode(make_pixels(400, (60, 80))))
    assert prepare(dataclasses.replace(data, fit=fit)).report["warnings"] == []


def test_few_photos_of_a_shape_are_no_warning(data):
    for number in range(8):  # by chance: 0.4 to the power of 8 is 7e-4
        content = encode(make_pixels(300 + number, (60, 80)))
        (Path(data.root) / "psoriasis" / f"other camera {number}.png").write_bytes(content)
    assert prepare(data).report["warnings"] == []


def test_names_of_every_kind_survive_and_are_printed_on_one_line(data, capsys):
    names = ["ünïcödé 皮膚.png", "two  spaces.png", "new\nline.png", "n" * 246 + ".png", "[b]x.png"]
    for number, name in enumerate(names):
        path = Path(data.root) / "eczema" / name
        path.write_bytes(encode(make_pixels(200 + number)))
    (Path(data.root) / "eczema" / "[red]bad\nname.png").write_bytes(b"")
    found = everything(prepare(data))
    assert {f"eczema/{name}" for name in names} <= found.keys()
    assert "  eczema/[red]bad\\nname.png: the file is empty\n" in capsys.readouterr().err


def test_long_lists_are_cut_short_on_the_screen_only(data, capsys):
    for number in range(30):
        (Path(data.root) / "eczema" / f"bad {number}.jpg").write_bytes(b"")
    report = prepare(dataclasses.replace(data, max_refused=1.0)).report
    printed = capsys.readouterr().err
    assert len(report["refused"]) == 30
    assert printed.count("the file is empty") == 20
    assert "... and 10 more in import_report.json" in printed


def test_files_that_are_not_even_opened_are_reported_too(data, tmp_path):
    (tmp_path / "outside.png").write_bytes(encode(make_pixels(500)))
    (Path(data.root) / "eczema" / "link.png").symlink_to(tmp_path / "outside.png")
    assert prepare(data).report["refused"] == {"eczema/link.png": "leads out of the folder"}


def test_nothing_is_printed_when_nothing_was_imported_or_nobody_looks(data, capsys):
    prepare(data, progress=False)
    prepare(data)
    output = capsys.readouterr()
    assert output.out == output.err == ""


def test_nothing_of_a_file_but_its_pixels_is_kept(data):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "SECRET-PATIENT-NAME"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSDateStamp] = "SECRET-PLACE"
    content = encode(make_pixels(300), "JPEG", exif=exif, comment=b"SECRET-COMMENT")
    assert content.count(b"SECRET") == 3
    (Path(data.root) / "eczema" / "tagged.jpg").write_bytes(content)
    prepare(data)
    for path in Path(data.cache_dir).rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes()


def test_no_temporary_files_are_left(data, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    prepare(data)
    assert not list((tmp_path / "tmp").iterdir())


def test_the_second_time_nothing_is_read_again(data):
    first = prepare(data)
    before = folders_of(data)
    second = prepare(data)
    assert folders_of(data) == before
    assert second.fingerprint == first.fingerprint
    assert second.report == first.report
    assert second.mean_color == first.mean_color


@pytest.mark.parametrize(
    "change",
    [
        {"photo_size": (26, 36)},
        {"fit": "crop"},
        {"rotate_to_fit": True},
        {"max_megapixels": 5.0},
        {"max_file_megabytes": 5.0},
    ],
)
def test_options_that_change_what_is_stored_cost_a_new_import(data, change):
    first = prepare(data)
    second = prepare(dataclasses.replace(data, **change))
    assert len(folders_of(data)) == 2
    assert second.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "change", [{"split_seed": 1}, {"test_size": 6.0}, {"val_size": 0.3}, {"folds": 3, "fold": 1}]
)
def test_another_division_costs_no_import_but_is_another_data_set(data, change):
    first = prepare(data)
    before = folders_of(data)
    second = prepare(dataclasses.replace(data, **change))
    assert folders_of(data) == before
    assert second.fingerprint != first.fingerprint


@pytest.mark.parametrize("change", [{"max_refused": 0.9}, {"duplicates": "drop"}])
def test_options_without_consequence_leave_the_data_set_as_it_is(data, change):
    first = prepare(data)
    assert prepare(dataclasses.replace(data, **change)).fingerprint == first.fingerprint


def test_changed_contents_cost_a_new_import(data):
    first = prepare(data)
    path = Path(data.root) / "eczema" / "003.png"
    path.write_bytes(encode(make_pixels(400)))
    second = prepare(data)
    assert second.fingerprint != first.fingerprint
    served = load_photo(path, size=SIZE).pixels
    np.testing.assert_array_equal(everything(second)["eczema/003.png"]["photo"], served)


def test_where_the_folder_lies_and_what_lies_beside_its_photos_do_not_matter(data, tmp_path):
    first = prepare(data)
    before = folders_of(data)
    moved = tmp_path / "elsewhere" / "photos"
    shutil.copytree(data.root, moved)
    (moved / "eczema" / "notes.txt").write_text("new")
    second = prepare(dataclasses.replace(data, root=str(moved)))
    assert folders_of(data) == before
    assert second.fingerprint == first.fingerprint


def test_what_is_only_kept_with_a_photo_costs_an_import_but_is_no_other_data_set(data):
    first = prepare(data)
    rows = [f"{path},{path.split('/')[0]},II" for path in everything(first)]
    (Path(data.root) / "photos.csv").write_text("\n".join(["file,label,skin_type", *rows]))
    second = prepare(data)
    assert len(folders_of(data)) == 2
    assert second.fingerprint == first.fingerprint
    assert json.loads(second.splits["test"][0]["metadata"]) == {"skin_type": "II"}


def test_support_for_another_format_is_no_other_data_set(data, monkeypatch):
    first = prepare(data)
    monkeypatch.setattr(sources, "HEIC_SUPPORTED", not sources.HEIC_SUPPORTED)
    second = prepare(data)
    assert len(folders_of(data)) == 2
    assert second.fingerprint == first.fingerprint


def test_very_many_photos_lie_in_no_more_files_than_a_process_may_open(data, monkeypatch):
    monkeypatch.setattr(builder, "_SMALLEST_SHARD", 1)  # would be 40 files
    monkeypatch.setattr(builder, "_MOST_SHARDS", 10)
    assert len(everything(prepare(data))) == 40
    assert len(list(Path(data.cache_dir).rglob("*.array_record*"))) == 10


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: os.truncate(file, 500)])
def test_an_import_of_before_the_size_of_its_prints_was_kept_is_used_if_whole(data, damage):
    prepare(data)
    known, prints = (
        next(Path(data.cache_dir).rglob(name)) for name in ("imported.json", "prints.npz")
    )
    text = json.loads(known.read_text())
    del text["sizes"]["prints.npz"]
    known.write_text(json.dumps(text))
    prepare(data)
    assert json.loads(known.read_text()) == text
    damage(prints)
    assert len(everything(prepare(data))) == 40
    assert "prints.npz" in json.loads(known.read_text())["sizes"]


@pytest.mark.parametrize("name", ["*.array_record*", "prints.npz", "imported.json"])
def test_a_damaged_import_is_made_again(data, name):
    first = prepare(data)
    damaged = next(Path(data.cache_dir).rglob(name))
    damaged.write_bytes(damaged.read_bytes()[:-5])
    second = prepare(data)
    assert second.fingerprint == first.fingerprint
    assert len(everything(second)) == 40


def test_an_import_of_another_version_is_made_again_as_the_same_data_set(data):
    first = prepare(data)
    known = next(Path(data.cache_dir).rglob("imported.json"))
    values = json.loads(known.read_text())
    del values["version"]
    known.write_text(json.dumps(values))
    second = prepare(data)
    assert second.fingerprint == first.fingerprint
    assert "version" in json.loads(next(Path(data.cache_dir).rglob("imported.json")).read_text())


def test_the_same_file_under_two_classes_stops_or_is_dropped(data):
    root = Path(data.root)
    shutil.copy(root / "eczema" / "001.png", root / "psoriasis" / "copy.png")
    shutil.copy(root / "eczema" / "002.png", root / "eczema" / "again.png")
    with pytest.raises(DataError) as caught:
        prepare(data)
    assert "eczema/001.png is the same photo as psoriasis/copy.png" in str(caught.value)
    before = folders_of(data)
    dataset = prepare(dataclasses.replace(data, duplicates="drop"))
    assert folders_of(data) == before
    assert dataset.report["dropped"].keys() == {"eczema/001.png", "psoriasis/copy.png"}
    assert not everything(dataset).keys() & dataset.report["dropped"].keys()
    assert dataset.report["taken"] == 40
    assert dataset.report["duplicates"] == [
        {"first": "eczema/002.png", "second": "eczema/again.png", "kind": "exact"}
    ]


def test_copies_within_a_class_never_straddle_splits(data):
    root = Path(data.root)
    for number in range(24):
        shutil.copy(
            root / "eczema" / f"{number:03d}.png", root / "eczema" / f"copy{number:03d}.png"
        )
    dataset = prepare(data)
    homes = {item["file"]: name for name, split in dataset.splits.items() for item in split}
    for number in range(24):
        assert homes[f"eczema/{number:03d}.png"] == homes[f"eczema/copy{number:03d}.png"]
    assert len(dataset.report["duplicates"]) == 24
    groups = {item["file"]: item["group"] for split in dataset.splits.values() for item in split}
    assert groups["eczema/003.png"] == groups["eczema/copy003.png"] == "eczema/003.png"
    assert groups["psoriasis/003.png"] == ""


def test_a_photo_in_two_given_splits_stops_or_leaves_the_test_alone(tmp_path, make_folder):
    root = make_folder({f"{split}/{c}": 4 for split in ("train", "val", "test") for c in "ab"})
    (root / "train" / "a" / "seen.png").write_bytes((root / "test" / "a" / "000.png").read_bytes())
    data = DataConfig(root=str(root), photo_size=SIZE, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"test/a/000\.png is the same photo as train/a/seen\.png"):
        prepare(data)
    dataset = prepare(dataclasses.replace(data, duplicates="drop"))
    assert dataset.report["dropped"].keys() == {"train/a/seen.png"}
    assert [len(dataset.splits[split]) for split in ("train", "val", "test")] == [8, 8, 8]


def test_fewer_photos_than_classes_is_an_error_that_says_so(tmp_path, make_folder):
    root = make_folder({"a": 1, "b": 1, "c": 1})
    data = DataConfig(root=str(root), photo_size=SIZE, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="class a has 1 photos left, too few for 1 in test"):
        prepare(data)


def test_a_class_in_train_but_not_in_test_is_an_error(tmp_path, make_folder):
    root = make_folder({"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 2, "test/a": 2})
    data = DataConfig(root=str(root), photo_size=SIZE, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="class b has no photo in test"):
        prepare(data)


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_option(data, tmp_path):
    (tmp_path / "file").write_text("")
    blocked = dataclasses.replace(data, cache_dir=str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"--data\.cache-dir .*file"):
        prepare(blocked)


def test_a_cache_that_can_only_be_read_will_do(data, monkeypatch):
    before = prepare(data)

    def refuse(path, *args, **options):
        raise OSError(30, "Read-only file system", str(path))

    for name in ("mkdir", "write_text", "write_bytes", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    assert everything(prepare(data)).keys() == everything(before).keys()


def test_too_little_disk_is_said_before_anything_is_read(data, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"need up to 0\.0 GB, and only 0\.0 GB are free .*--data"):
        prepare(data)
    assert not folders_of(data)


def test_a_named_folder_must_be_there(tmp_path):
    for source in ("auto", "folder"):
        with pytest.raises(DataError, match=r"--data\.root .*absent: no such folder; expected one"):
            resolve_source(DataConfig(root=str(tmp_path / "absent"), source=source))


def test_a_folder_is_not_passed_over_for_generated_photos(tmp_path):
    with pytest.raises(DataError, match=r"generates its photos; add --data\.source folder"):
        resolve_source(DataConfig(root=str(tmp_path), source="synthetic"))


def test_without_a_folder_photos_are_generated_and_called_synthetic(tmp_path, capsys):
    data = DataConfig(
        default_root=str(tmp_path / "absent"),
        photo_size=(48, 72),
        cache_dir=str(tmp_path / "cache"),
        synthetic=dataclasses.replace(DataConfig().synthetic, train=6, val=4, test=4),
    )
    assert resolve_source(data).source == "synthetic"
    dataset = prepare(data)
    assert dataset.name == "SYNTHETIC"
    assert [len(dataset.splits[split]) for split in ("train", "val", "test")] == [6, 4, 4]
    for item in everything(dataset).values():
        x0, y0, x1, y1 = item["box"]
        assert 0 <= x0 < x1 <= 72
        assert 0 <= y0 < y1 <= 48
    (tmp_path / "absent").mkdir()
    assert resolve_source(data).source == "folder"


@pytest.mark.parametrize(
    ("given", "sizes"),
    [((40, 0, 6), [34, 6, 6]), ((40, 6, 0), [34, 6, 6]), ((40, 0, 0), [28, 6, 6])],
)
def test_splits_without_generated_photos_are_taken_from_the_training(tmp_path, given, sizes):
    made = dict(zip(("train", "val", "test"), given, strict=True))
    data = DataConfig(
        source="synthetic",
        photo_size=(24, 36),
        cache_dir=str(tmp_path),
        synthetic=dataclasses.replace(DataConfig().synthetic, **made),
    )
    splits = prepare(data).splits
    assert [len(splits[split]) for split in ("train", "val", "test")] == sizes


def test_real_photos(real_data, tmp_path):
    data = DataConfig(
        root=str(real_data / "isic2016"), photo_size=(105, 158), cache_dir=str(tmp_path / "cache")
    )
    dataset = prepare(data)
    assert dataset.classes == ("benign", "malignant")
    report = dataset.report
    assert (report["taken"], report["refused"], report["duplicates"]) == (641, {}, [])
    assert report["splits"]["test"] == {"benign": 78, "malignant": 19}


def test_copies_of_real_photos_are_found(real_data, tmp_path):
    root = tmp_path / "photos"
    for name in ("benign", "malignant"):
        (root / name).mkdir(parents=True)
        for path in sorted((real_data / "isic2016" / name).iterdir())[:20]:
            shutil.copy(path, root / name)
    original = sorted((root / "benign").iterdir())[3]
    smaller = Image.open(original)
    smaller.thumbnail((600, 600))
    smaller.save(root / "benign" / "zz smaller.jpg", quality=60)
    data = DataConfig(root=str(root), photo_size=(105, 158), cache_dir=str(tmp_path / "cache"))
    assert prepare(data).report["duplicates"] == [
        {"first": f"benign/{original.name}", "second": "benign/zz smaller.jpg", "kind": "near"}
    ]
    (root / "benign" / "zz smaller.jpg").rename(root / "malignant" / "zz smaller.jpg")
    with pytest.raises(DataError, match=r"looks the same as malignant/zz smaller\.jpg"):
        prepare(data)


@pytest.mark.parametrize(
    "option",
    [
        {"max_megapixels": 0.0},
        {"max_megapixels": 400.0},
        {"max_file_megabytes": -1.0},
        {"max_file_megabytes": float("nan")},
        {"max_refused": 1.5},
    ],
)
def test_senseless_options_are_refused_by_name(option):
    with pytest.raises(ConfigError, match="--data." + next(iter(option)).replace("_", "-")):
        Config(data=DataConfig(**option))

import os
import unicodedata

import pytest

from stn_jax.data.errors import DataError
from stn_jax.data.folder import Entry, list_photos


def write(root, *files, content=b"x"):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def table(root, text, *files):
    write(root, *files)
    (root / "photos.csv").write_text(text, encoding="utf-8")
    return root


def test_sub_folders_are_classes_however_deep_the_photos_lie(tmp_path):
    write(tmp_path, "b/1.jpg", "a/2.jpg", "a/visit 1/left/3.jpg")
    listing = list_photos(tmp_path)
    assert listing.classes == ("a", "b")
    assert listing.entries == (
        Entry(file="a/2.jpg", label="a"),
        Entry(file="a/visit 1/left/3.jpg", label="a"),
        Entry(file="b/1.jpg", label="b"),
    )
    assert not listing.refused
    assert not listing.warnings


def test_a_label_comes_from_the_class_folder_not_from_the_rest_of_the_path(tmp_path):
    root = write(tmp_path / "malignant" / "data", "benign/malignant/1.jpg", "malignant/2.jpg")
    assert [entry.label for entry in list_photos(root).entries] == ["benign", "malignant"]


def test_split_folders_are_taken_as_given(tmp_path):
    write(tmp_path, *(f"{split}/{c}/1.jpg" for split in ("train", "val", "test") for c in "ab"))
    listing = list_photos(tmp_path)
    assert {entry.file: entry.split for entry in listing.entries} == {
        f"{split}/{c}/1.jpg": split for split in ("train", "val", "test") for c in "ab"
    }
    assert listing.classes == ("a", "b")


def test_a_table_gives_labels_splits_groups_and_whatever_else(tmp_path):
    table(
        tmp_path,
        "\ufefffile,label,group,split,skin_type\n"
        '"x, y.jpg",eczema,p1,test,FST3\n'
        "deep/z.jpg,psoriasis,,,\n",
        "x, y.jpg",
        "deep/z.jpg",
    )
    assert list_photos(tmp_path).entries == (
        Entry("deep/z.jpg", "psoriasis", metadata={"skin_type": ""}),
        Entry("x, y.jpg", "eczema", "test", "p1", {"skin_type": "FST3"}),
    )


@pytest.mark.parametrize(("separator", "size"), [(";", "2.5"), ("\t", "2,5")])
def test_a_table_as_a_spreadsheet_separates_it(tmp_path, separator, size):
    text = "\ufefffile;label;size\r\n1.jpg;a;2,5\r\n2.jpg;b;\r\n".replace(";", separator)
    table(tmp_path, text, "1.jpg", "2.jpg")
    assert list_photos(tmp_path).entries == (
        Entry("1.jpg", "a", metadata={"size": size}),
        Entry("2.jpg", "b", metadata={"size": ""}),
    )


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=|", "sep=\t", "sep=,"])
def test_a_first_line_for_excel_names_the_separator(tmp_path, first):
    text = f"\ufeff{first}\r\nfile;label;site\r\n1.jpg;a;arm\r\n2.jpg;b;\r\n"
    table(tmp_path, text.replace(";", first.strip('"')[4]), "1.jpg", "2.jpg")
    assert list_photos(tmp_path).entries == (
        Entry("1.jpg", "a", metadata={"site": "arm"}),
        Entry("2.jpg", "b", metadata={"site": ""}),
    )
    table(tmp_path, "sep=;\nfile;label\n1.jpg;a\n2.jpg;\n")
    with pytest.raises(DataError, match="line 4: file and label must both be given"):
        list_photos(tmp_path)


def test_numbers_with_a_decimal_comma_are_read_where_semicolons_separate(tmp_path):
    table(
        tmp_path,
        "file;label;group;age;dose;range\n"
        "1,5;a;2,5;-12,5;12,5 mg;1,2,3\n"
        "2.jpg;3,5;;1,5E+03;1.234,5;7\n",
        "1,5",
        "2.jpg",
    )
    assert list_photos(tmp_path).entries == (
        Entry("1,5", "a", "", "2,5", {"age": "-12.5", "dose": "12,5 mg", "range": "1,2,3"}),
        Entry("2.jpg", "3,5", metadata={"age": "1.5E+03", "dose": "1.234,5", "range": "7"}),
    )


def test_columns_are_known_by_their_names_however_written(tmp_path):
    table(
        tmp_path,
        "File, Label,GROUP, split ,Site\n1.jpg,a,p1,test,arm\n2.jpg,b,,,\n",
        "1.jpg",
        "2.jpg",
    )
    assert list_photos(tmp_path).entries == (
        Entry("1.jpg", "a", split="test", group="p1", metadata={"Site": "arm"}),
        Entry("2.jpg", "b", metadata={"Site": ""}),
    )
    table(tmp_path, "file,label,Group,group\n1.jpg,a,p1,p2\n")
    with pytest.raises(DataError, match="more than one column group"):
        list_photos(tmp_path)


def test_columns_without_a_name_are_left_out(tmp_path):
    """As pandas writes the numbers of rows, and spreadsheets empty columns."""
    table(tmp_path, ",file,label,site, \n0,1.jpg,a,arm,\n1,2.jpg,b,,x\n", "1.jpg", "2.jpg")
    assert list_photos(tmp_path).entries == (
        Entry("1.jpg", "a", metadata={"site": "arm"}),
        Entry("2.jpg", "b", metadata={"site": ""}),
    )


def test_cells_without_text_beyond_the_header_are_left_out(tmp_path):
    table(tmp_path, "file,label\n1.jpg,a,,\n2.jpg,b, \n", "1.jpg", "2.jpg")
    assert [entry.label for entry in list_photos(tmp_path).entries] == ["a", "b"]


@pytest.mark.parametrize("name", ["Photos.csv", "PHOTOS.CSV"])
def test_a_table_whose_name_is_written_otherwise_is_not_passed_over(tmp_path, name):
    write(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / name).write_text("file,label,group\na/1.jpg,a,p1\nb/2.jpg,b,p1\n")
    with pytest.raises(DataError, match=rf"rename {name} to photos\.csv, .* or move it"):
        list_photos(tmp_path)


def test_a_table_is_not_ignored_where_case_does_not_count(tmp_path):
    table(tmp_path, "file,label\n1.jpg,a\n2.jpg,b\n", "1.jpg", "2.jpg", "x/photos.csv")
    # Such a system finds one file under both names.
    (tmp_path / "photos.csv").rename(tmp_path / "Photos.csv")
    (tmp_path / "photos.csv").symlink_to("Photos.csv")
    assert list_photos(tmp_path).ignored == ("x/photos.csv",)


def test_rows_without_any_text_are_left_out(tmp_path):
    table(tmp_path, "file;label;site\n1.jpg;a;arm\n;;\n\n2.jpg;b;\n; ;\n", "1.jpg", "2.jpg")
    assert [entry.file for entry in list_photos(tmp_path).entries] == ["1.jpg", "2.jpg"]
    table(tmp_path, "file;label;site\n1.jpg;a;arm\n;;leg\n")
    with pytest.raises(DataError, match="line 3: file and label must both be given"):
        list_photos(tmp_path)


def test_a_path_as_windows_writes_it_is_refused_with_what_to_write(tmp_path):
    table(tmp_path, "file,label\na\\1.jpg,a\na/1.jpg,a\nb/2.jpg,b\n", "a/1.jpg", "b/2.jpg")
    assert list_photos(tmp_path).refused == {
        "a\\1.jpg": "no such file (photos.csv line 2); separate folders by /"
    }


@pytest.mark.parametrize("name", ["Patient_ID", "Patient ID", "patient-id", "PatientID", "Case"])
def test_a_column_of_patients_that_keeps_nothing_together_is_warned_of(tmp_path, name):
    table(tmp_path, f"file,label,{name}\n1.jpg,a,p1\n2.jpg,b,p1\n", "1.jpg", "2.jpg")
    (warning,) = list_photos(tmp_path).warnings
    assert warning.startswith(f"column {name} keeps no patient's photos in one split")
    table(tmp_path, f"file,label,{name},group\n1.jpg,a,p1,p1\n2.jpg,b,p1,p1\n")
    assert not list_photos(tmp_path).warnings


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing"), ("train", "valid")])
def test_folders_that_seem_to_be_splits_are_no_classes(tmp_path, names):
    write(tmp_path, *(f"{split}/{c}/1.jpg" for split in names for c in "ab"))
    with pytest.raises(DataError, match="seem to be splits, not classes: rename them"):
        list_photos(tmp_path)


@pytest.mark.parametrize("row", ["1.jpg,a,test,p1", "1.jpg,a,train,p2"])
def test_a_photo_of_two_splits_or_groups_is_refused(tmp_path, row):
    table(
        tmp_path, f"file,label,split,group\n1.jpg,a,train,p1\n2.jpg,b,,\n{row}\n", "1.jpg", "2.jpg"
    )
    with pytest.raises(DataError, match=r"line 4: 1\.jpg has another split or group than above"):
        list_photos(tmp_path)


def test_names_of_every_kind_are_kept(tmp_path):
    names = ["ünïcödé 皮膚.jpg", "two  spaces.jpg", "new\nline.jpg", "n" * 246 + ".jpg", "[b]x.jpg"]
    write(tmp_path, *(f"a/{name}" for name in names), "b/1.jpg")
    found = {entry.file.removeprefix("a/") for entry in list_photos(tmp_path).entries}
    assert found == {*names, "b/1.jpg"}


def test_a_name_that_is_no_text_is_refused(tmp_path):
    write(tmp_path, "a/1.jpg", "b/1.jpg")
    with open(os.fsencode(tmp_path / "a") + b"/\xff.jpg", "wb"):
        pass
    listing = list_photos(tmp_path)
    assert list(listing.refused.values()) == ["its name is not valid UTF-8: rename it"]
    assert len(listing.entries) == 2


def test_what_is_no_photo_by_its_name_is_ignored_and_said(tmp_path):
    write(tmp_path, "a/1.jpg", "b/1.jpg", "a/notes.txt", "a/.DS_Store", "b/Thumbs.db", "b/INFO.XML")
    write(tmp_path, "a stray.jpg")
    listing = list_photos(tmp_path)
    assert listing.ignored == ("a stray.jpg", "a/notes.txt", "b/INFO.XML")
    assert listing.warnings == ("files outside the class folders: 1, such as a stray.jpg",)


def test_links_out_of_the_folder_are_refused_and_those_inside_are_followed(tmp_path):
    outside = write(tmp_path / "outside", "secret.jpg", "dir/x.jpg")
    root = write(tmp_path / "root", "a/1.jpg", "b/1.jpg")
    (root / "a" / "out.jpg").symlink_to(outside / "secret.jpg")
    (root / "a" / "up.jpg").symlink_to("../../outside/secret.jpg")
    (root / "a" / "nowhere.jpg").symlink_to("absent.jpg")
    (root / "a" / "round.jpg").symlink_to("round.jpg")
    (root / "a" / "dir").symlink_to(outside / "dir")
    (root / "b" / "in.jpg").symlink_to("../a/1.jpg")
    listing = list_photos(root)
    assert listing.refused == {
        "a/dir": "leads out of the folder",
        "a/nowhere.jpg": "leads nowhere",
        "a/out.jpg": "leads out of the folder",
        "a/round.jpg": "leads nowhere",
        "a/up.jpg": "leads out of the folder",
    }
    assert [entry.file for entry in listing.entries] == ["a/1.jpg", "b/1.jpg", "b/in.jpg"]


def test_a_table_cannot_lead_out_of_the_folder(tmp_path):
    write(tmp_path, "outside.jpg")
    root = table(
        tmp_path / "root",
        f"file,label\n../outside.jpg,a\n{tmp_path}/outside.jpg,a\nin.jpg,a\nother.jpg,b\nno.jpg,b\n",
        "in.jpg",
        "other.jpg",
    )
    assert list_photos(root).refused == {
        "../outside.jpg": "leads out of the folder",
        f"{tmp_path}/outside.jpg": "leads out of the folder",
        "no.jpg": "no such file (photos.csv line 6)",
    }


def test_a_table_names_photos_relative_to_the_folder(tmp_path):
    rows = f"file,label\n{tmp_path}/1.jpg,a\n2.jpg,a\n3.jpg,b\n"
    root = table(tmp_path, rows, "1.jpg", "2.jpg", "3.jpg")
    reason = "its path must be relative to the folder"
    assert list_photos(root).refused == {f"{tmp_path}/1.jpg": reason}


def test_a_pipe_is_not_opened(tmp_path):
    write(tmp_path, "a/1.jpg", "b/1.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    assert list_photos(tmp_path).refused == {"a/pipe.jpg": "not a file"}


def test_what_a_table_leaves_out_or_says_twice_is_warned_of(tmp_path):
    table(tmp_path, "file,label\n1.jpg,a\n2.jpg,b\n1.jpg,a\n", "1.jpg", "2.jpg", "3.jpg")
    listing = list_photos(tmp_path)
    assert listing.warnings == (
        "rows of photos.csv that repeat an earlier one: 1, such as 1.jpg",
        "files that are not in photos.csv and were ignored: 1, such as 3.jpg",
    )
    assert listing.ignored == ("3.jpg",)


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_file_is_found_however_unicode_spells_its_letters(tmp_path, on_disk, in_table):
    file, row = (unicodedata.normalize(form, "Hände/1é.jpg") for form in (on_disk, in_table))
    table(tmp_path, f"file,label\n{row},a\n{file},a\n2.jpg,b\n", file, "2.jpg")
    listing = list_photos(tmp_path)
    assert {entry.file for entry in listing.entries} == {file, "2.jpg"}
    assert not listing.refused


def test_two_spellings_of_a_file_are_one_file(tmp_path):
    table(tmp_path, "file,label\n1.jpg,a\n2.jpg,b\n./1.jpg,a\n", "1.jpg", "2.jpg")
    listing = list_photos(tmp_path)
    assert [entry.file for entry in listing.entries] == ["1.jpg", "2.jpg"]
    assert listing.warnings == ("rows of photos.csv that repeat an earlier one: 1, such as 1.jpg",)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Benign", "benign"), "Benign and benign"),
        (("caf\u00e9", "cafe\u0301"), r"'cafe\\u0301' and 'caf\\xe9'"),
        (("STRASSE", "straße"), "STRASSE and straße"),
        (("№ 7", "no 7"), "no 7 and № 7"),
    ],
)
def test_two_spellings_of_a_class_are_refused(tmp_path, names, said):
    write(tmp_path / "folders", *(f"{name}/1.jpg" for name in names), "other/1.jpg")
    write(tmp_path / "splits", f"train/{names[0]}/1.jpg", f"test/{names[1]}/1.jpg")
    rows = "".join(f"{i}.jpg,{name}\n" for i, name in enumerate(names))
    table(tmp_path / "table", "file,label\n" + rows, "0.jpg", "1.jpg")
    for root in ("folders", "splits", "table"):
        with pytest.raises(DataError, match=f"{said} are one name in several spellings: merge"):
            list_photos(tmp_path / root)


def test_two_spellings_of_a_patient_are_one_and_warned_of(tmp_path):
    rows = "1.jpg,a,p7\n2.jpg,b,P7\n3.jpg,b,p8\n1.jpg,a,P7\n"
    table(tmp_path, "file,label,group\n" + rows, "1.jpg", "2.jpg", "3.jpg")
    listing = list_photos(tmp_path)
    assert [entry.group for entry in listing.entries] == ["P7", "P7", "p8"]
    assert "the groups P7 and p7 count as one" in listing.warnings


def test_a_class_whose_photos_are_all_missing_is_still_a_class(tmp_path):
    table(tmp_path, "file,label\n1.jpg,a\n2.jpg,b\n3.jpg,c\n", "1.jpg", "2.jpg")
    assert list_photos(tmp_path).classes == ("a", "b", "c")


EXPECTED = r"expected one sub-folder for each class .* or a table photos\.csv with columns"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], f"no sub-folders in it; {EXPECTED}"),
        (["1.jpg", "2.jpg"], f"no sub-folders in it; {EXPECTED}"),
        (["a/1.jpg", "a/2.jpg"], f"only one class, a; a classifier needs two or more: {EXPECTED}"),
        (["a/1.jpg", "b/"], "b: no photos in this class folder; add some, or remove the folder"),
        (["a/1.jpg", "b/notes.txt"], "b: no photos in this class folder"),
        (["train/a/1.jpg", "c/1.jpg"], "has train beside c; a folder with splits needs train/"),
        (["test/a/1.jpg", "test/b/1.jpg"], "has test beside nothing; .* needs train/"),
        (["train/1.jpg"], f"no class folders in it; {EXPECTED}"),
    ],
)
def test_folders_of_no_use_are_refused_with_what_was_expected(tmp_path, files, message):
    for file in files:
        if file.endswith("/"):
            (tmp_path / file).mkdir()
        else:
            write(tmp_path, file)
    with pytest.raises(DataError, match=message):
        list_photos(tmp_path)


def test_an_absent_folder_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=rf"--data\.root .*absent: no such folder; {EXPECTED}"):
        list_photos(tmp_path / "absent")


def test_a_class_of_refused_files_only_says_why(tmp_path):
    root = write(tmp_path / "root", "a/1.jpg", "b/.keep")
    (root / "b" / "out.jpg").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"b: no photos .* \(b/out.jpg: leads out of the folder\)"):
        list_photos(root)


def test_a_folder_that_may_not_be_read_is_an_error_not_a_crash(tmp_path, monkeypatch):
    write(tmp_path, "a/1.jpg", "b/1.jpg")

    def iterdir(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.iterdir", iterdir)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        list_photos(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column file and label"),
        ("path,label\n", "no column file in its header, path, label; commas, semicolons or tabs"),
        ("file|label\n", r"no column file and label in its header, file\|label; commas"),
        ("file;label,group\n", "no column file and label in its header, file;label, group"),
        ("file,label\n", "no rows"),
        ("file,label,label\n1.jpg,a,b\n", "more than one column label: rename or remove the"),
        ("file,label\n\n1.jpg,\n", "line 3: file and label must both be given"),
        ("file,label,split\n1.jpg,a,validation\n", "line 2: split 'validation' must be train"),
        ("file,label\n1.jpg,a\n1.jpg,b\n", "line 3: 1.jpg is b here and a above"),
        ("file,label\n1.jpg,a\n2.jpg,a\n", "only one class, a"),
        ("file,label,site,group\n1.jpg,a,arm, left,p7\n", "line 2: more cells than the header has"),
        ('file,label,x\n1.jpg,a,"y\n2.jpg,b,\n1.jpg,a,"z\n2.jpg,b,\n', "line 4: a quotation mark"),
        ('file,label,x\n1.jpg,a,\n2.jpg,b,"y\n', "line 3: a quotation mark .* end of data"),
        ('file,label,"x" y\n1.jpg,a,\n', "line 1: a quotation mark"),
    ],
)
def test_tables_of_no_use_are_refused_by_line(tmp_path, text, message):
    table(tmp_path, text, "1.jpg", "2.jpg")
    with pytest.raises(DataError, match=message):
        list_photos(tmp_path)


@pytest.mark.parametrize("content", ["file,label\nü.jpg,a\n".encode("latin1"), b"file,label\n\0,a"])
def test_tables_in_another_encoding_are_refused(tmp_path, content):
    (tmp_path / "photos.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"not a table in UTF-8|no such file|only one class"):
        list_photos(tmp_path)

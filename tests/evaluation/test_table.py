import dataclasses

import numpy as np
import pytest

from stn_jax.evaluation.table import TableError, make_table, read_table, write_table


def test_what_is_written_is_read_to_the_last_bit(tmp_path, make_predictions):
    table = make_predictions(40).calibrated(temperature=1.7, threshold=0.8)
    table.lesion[3] = np.nan
    write_table(table, tmp_path / "predictions.csv")
    again = read_table(tmp_path / "predictions.csv")
    for field in dataclasses.fields(table):
        wrote, read = getattr(table, field.name), getattr(again, field.name)
        if isinstance(wrote, np.ndarray):
            np.testing.assert_array_equal(read, wrote, err_msg=field.name)
        elif field.name == "baselines":
            assert wrote.keys() == read.keys()
            for name in wrote:
                np.testing.assert_array_equal(read[name], wrote[name])
        else:
            assert read == wrote, field.name
    write_table(again, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "predictions.csv").read_bytes()


def test_the_columns_on_disk(tmp_path, make_predictions):
    write_table(make_predictions(3), tmp_path / "predictions.csv")
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0].split(",")
    expected = "file group label predicted prob_eczema prob_psoriasis raw_eczema raw_psoriasis"
    expected += " confidence accepted theta_0 theta_1 theta_2 theta_3 theta_4 theta_5"
    assert header[:16] == expected.split()


def test_awkward_names_survive(tmp_path):
    table = make_table(
        classes=("a, b", 'say "c"'),
        file=["été\n1.jpg", "2,3.jpg"],
        label=[0, 1],
        raw=np.array([[0.25, 0.75], [0.5, 0.5]]),
    )
    write_table(table, tmp_path / "predictions.csv")
    again = read_table(tmp_path / "predictions.csv")
    assert (again.classes, again.file) == (table.classes, table.file)


@pytest.mark.parametrize("note", ["x\ry", "x\r", "\r\n", "\n"])
def test_every_end_of_line_inside_a_text_survives(tmp_path, note):
    raw = np.full((2, 2), 0.5)
    table = make_table(
        classes=("a", "b"), file=["1", "2"], label=[0, 1], raw=raw, metadata={"note": (note, "b")}
    )
    write_table(table, tmp_path / "predictions.csv")
    assert read_table(tmp_path / "predictions.csv").metadata["note"] == (note, "b")


def test_a_table_of_other_people_needs_three_kinds_of_columns(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("file,label,prob_a,prob_b\n1.jpg,a,0.9,0.1\n2.jpg,b,0.6,0.4\n")
    table = read_table(path)
    assert table.classes == ("a", "b")
    assert table.correct.tolist() == [True, False]
    assert table.confidence.tolist() == [0.9, 0.6]
    assert np.isnan(table.lesion).all()


WITH_LESION = "file,label,prob_a,prob_b,lesion_x0,lesion_y0,lesion_x1,lesion_y1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a table"),
        ("file,prob_a,prob_b\n1,0.5,0.5\n", "no column 'label'"),
        ("file,label,prob_a\n1,a,1\n", "fewer than two"),
        ("file,label,prob_a,prob_b\n1,a,0.5\n", "line 2: 3 values, 4 columns"),
        ("file,label,prob_a,prob_b,prob_a\n1,a,0.9,0.1,0.2\n", "column 'prob_a' appears twice"),
        ("file,label,prob_a,prob_b\n1,c,0.5,0.5\n", "class 'c' has no column prob_c"),
        ("file,label,prob_a,prob_b\n1,a,nan,0.5\n", "not a number"),
        ("file,label,prob_a,prob_b\n1,a,,0.5\n", "not a number"),
        ("file,label,prob_a,prob_b\n1,a,x,0.5\n", "column prob_a: 'x'"),
        ("file,label,prob_a,prob_b\n1,a,0.5,0.5\n1,a,0.5,0.5\n", "1 appears twice"),
        ("file,label,prob_a,prob_b,accepted\n1,a,0.5,0.5,maybe\n", "neither true nor false"),
        (WITH_LESION + "1,a,0.5,0.5,8,4,8,9\n", "1: lesion_x0 and lesion_y0 must be less"),
        (WITH_LESION + "1,a,0.5,0.5,,,,\n2,a,0.5,0.5,2,4,8,3\n", "2: lesion_x0 and lesion_y0"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, message):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=message) as caught:
        read_table(path)
    assert "predictions.csv" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"nothing\.csv"):
        read_table(tmp_path / "nothing.csv")


def test_a_table_as_excel_saves_it(tmp_path, make_predictions):
    table = make_predictions(4)
    write_table(table, tmp_path / "plain.csv")
    marked = (tmp_path / "plain.csv").read_text("utf-8").encode("utf-8-sig")
    (tmp_path / "marked.csv").write_bytes(marked)
    assert read_table(tmp_path / "marked.csv").file == table.file


def test_a_field_that_is_too_long_is_refused(tmp_path):
    (tmp_path / "long.csv").write_text(f"file,label,prob_a,prob_b\n{'x' * 200_000},a,1,0\n")
    with pytest.raises(TableError, match=r"long.csv: not a table"):
        read_table(tmp_path / "long.csv")


def test_nan_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"of b\.jpg \[nan"):
        make_table(
            classes=("a", "b"),
            file=["a.jpg", "b.jpg"],
            label=[0, 1],
            raw=np.array([[0.5, 0.5], [np.nan, 1]]),
        )


def test_the_threshold_decides_what_is_accepted(make_predictions):
    table = make_predictions(100)
    accepted = table.calibrated(temperature=2.0, threshold=0.7)
    np.testing.assert_array_equal(accepted.accepted, accepted.confidence >= 0.7)
    assert 0 < accepted.accepted.sum() < 100
    assert not table.calibrated(temperature=2.0, threshold=None).accepted.any()
    assert table.calibrated(temperature=2.0, threshold=0.0).accepted.all()
    np.testing.assert_array_equal(accepted.predicted, table.predicted)


def test_rows_keeps_fields_together(make_predictions):
    table = make_predictions(10)
    part = table.rows(np.array([7, 2]))
    assert part.file == (table.file[7], table.file[2])
    assert part.metadata["site"] == (table.metadata["site"][7], table.metadata["site"][2])
    np.testing.assert_array_equal(part.lesion, table.lesion[[7, 2]])
    np.testing.assert_array_equal(part.baselines["whole"], table.baselines["whole"][[7, 2]])

"""predict.py: names on a command line to JSON lines."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stn_jax
from stn_jax.data.photo import PhotoError
from stn_jax.evaluation.files import answer_files, list_files, save_crop
from stn_jax.evaluation.predictor import Prediction

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def predictor(trained):
    return stn_jax.load_predictor(trained)


@pytest.fixture
def photos(tmp_path):
    """Ten photos and a letter that calls itself one, in a folder of their own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(10):
        pixels = np.random.default_rng(i).integers(0, 256, (50, 70, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "3-letter.jpg").write_text("Dear doctor")
    (folder / ".hidden").write_text("")
    for beside in ("photos.csv", "Thumbs.db", "desktop.ini", "Notes.TXT"):
        (folder / beside).write_text("file,label\n0.png,a\n")
    return folder


def test_folders_and_lists_stand_for_files(photos):
    names = [str(path) for path in sorted(photos.iterdir()) if path.suffix in (".png", ".jpg")]
    assert list(list_files([str(photos)], ())) == names
    listed = [f"{names[0]}\r\n", "\r\n", f"{photos}\n"]
    assert list(list_files(["-", "x.jpg"], listed)) == [names[0], *names, "x.jpg"]


def test_a_refused_photo_costs_the_others_nothing(predictor, photos):
    files = list(list_files([str(photos)], ()))
    answers = list(answer_files(predictor, files))
    assert [isinstance(a, PhotoError) for a in answers] == ["letter" in file for file in files]
    for file, answer in zip(files, answers, strict=True):
        if isinstance(answer, Prediction):
            assert answer.file == file
            alone = predictor.predict([file])[0]
            assert answer.probabilities == alone.probabilities


def test_crops_of_equal_names_do_not_overwrite_each_other(predictor, photos, tmp_path):
    answers = predictor.predict([photos / "0.png", photos / "0.png"])
    paths = [save_crop(answer, tmp_path / "crops", i) for i, answer in enumerate(answers)]
    assert len(set(paths)) == 2
    np.testing.assert_array_equal(np.asarray(Image.open(paths[1])), answers[1].crop)


def test_a_crop_of_a_long_name_is_saved(predictor, photos, tmp_path):
    name = "ü" * 120 + ".png"
    shutil.copy(photos / "0.png", tmp_path / name)
    (answer,) = predictor.predict([tmp_path / name])
    path = save_crop(answer, tmp_path / "crops", 7)
    assert path.is_file()
    assert path.name == "00007-" + "ü" * 100 + ".png"


def test_command_line(trained, photos, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "predict.py"), "--workdir", str(trained), str(photos)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 10
    assert all(line["label"] is None for line in lines)
    assert "refused: " in done.stderr
    assert "3-letter.jpg: text, not a photo" in done.stderr
    assert "note: no answers: not evaluated yet" in done.stderr
    assert "note: SYNTHETIC: " in done.stderr


def run_program(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "predict.py"), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONIOENCODING": "utf-8:strict"},
    )


def test_names_that_no_file_can_have_cost_the_others_nothing(trained, photos, tmp_path):
    odd = tmp_path / os.fsdecode(b"\xff.png")
    shutil.copy(photos / "0.png", odd)
    names = [f"{odd}", "a" * 300, "a.jpg\0b.jpg", "red\x1b[31m.jpg"]
    program = run_program("--workdir", trained, "-")
    out, errors = program.communicate("".join(f"{name}\n" for name in names))
    assert [json.loads(line)["file"] for line in out.splitlines()] == [f"{odd}"]
    refused = [line for line in errors.splitlines() if line.startswith("refused: ")]
    assert refused == [
        f"refused: {names[1]}: cannot be read (File name too long)",
        "refused: a.jpg\\x00b.jpg: no file can have that name",
        "refused: red\\x1b[31m.jpg: cannot be read (No such file or directory)",
    ]
    assert program.returncode == 1


def test_a_program_that_gives_no_standard_input_gets_its_answers(trained, photos):
    program = [sys.executable, ROOT / "predict.py", "--workdir", trained, photos / "0.png"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *map(str, program)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == str(photos / "0.png")


def test_no_file_at_all_is_an_error(trained, tmp_path):
    (tmp_path / "empty").mkdir()
    program = run_program("--workdir", trained, tmp_path / "empty")
    assert "error: no file in" in program.communicate()[1]
    assert program.returncode == 2


def test_a_reader_that_leaves_is_no_traceback(trained, photos):
    with run_program("--workdir", trained, *[photos / "0.png"] * 40) as program:
        program.stdout.close()
        errors = program.stderr.read()
    assert program.returncode == 1
    assert "Traceback" not in errors
    assert "Broken" not in errors


def test_a_file_in_the_place_of_a_folder_is_said_in_a_line(trained, photos, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for crops in (file, file / "crops"):
        program = run_program("--workdir", trained, "--crops", crops, photos / "0.png")
        said = f"error: --crops {crops}: {file} is a file, not a folder; name another\n"
        assert program.communicate() == ("", said)
        assert program.returncode == 2

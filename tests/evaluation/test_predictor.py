"""From a workdir to answers, the same whatever is asked beside."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import stn_jax
from stn_jax.data.photo import Photo, PhotoError
from stn_jax.evaluation.predictor import Answering, load_predictor, read_answering
from stn_jax.evaluation.table import read_table
from stn_jax.evaluation.written import METRICS
from stn_jax.training.errors import WorkdirError

SIZE = (42, 63)


@pytest.fixture(scope="module")
def predictor(trained):
    return stn_jax.load_predictor(trained)


def noise(count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *size, 3), np.uint8)


@pytest.mark.parametrize("together", [1, 7, 32])
def test_how_many_are_asked_together_changes_no_bit(predictor, together):
    photos = noise(32)
    alone = [predictor.predict([photo])[0] for photo in photos]
    for start in range(0, 32, together):
        for one, other in zip(
            alone[start : start + together],
            predictor.predict(photos[start : start + together]),
            strict=True,
        ):
            assert one.probabilities == other.probabilities
            np.testing.assert_array_equal(one.theta, other.theta)
            np.testing.assert_array_equal(one.crop, other.crop)


def test_path_content_and_pixels_are_answered_alike(predictor, tmp_path):
    pixels = noise(1, (80, 50))[0]
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    from_path, from_bytes, from_pixels = predictor.predict([path, path.read_bytes(), pixels])
    assert from_path.file == str(path)
    assert from_path.probabilities == from_bytes.probabilities == from_pixels.probabilities


def test_an_array_is_not_refused_for_the_size_of_a_file(predictor):
    large = np.zeros((4700, 4800, 3), np.uint8)
    assert large.nbytes > predictor.run.config.data.max_file_megabytes * 1e6
    assert predictor.predict([large])[0].box.max() > 4000


def test_a_refusal_says_which_photo(predictor):
    with pytest.raises(PhotoError, match="photo 1: "):
        predictor.predict([noise(1)[0], b"no photo"])


def test_no_photos_no_answers(predictor):
    assert predictor.predict([]) == []


def test_box_is_in_pixels_of_the_file(predictor):
    """Padded and shrunk for the network, the whole photo is still the whole photo in the answer."""
    height, width = 100, 60
    photo = predictor.load(noise(1, (height, width))[0], name="tall")
    inner = photo.to_original(
        np.array([[photo.offset[0], 0.0], [SIZE[1] - photo.offset[0], SIZE[0]]])
    )
    np.testing.assert_allclose(inner, [[0, 0], [width, height]], atol=1.5)
    answer = predictor.answer([photo], ["tall"])[0]
    area = predictor.read(photo.pixels[None]).area[0]
    np.testing.assert_allclose(answer.box, photo.to_original(area), atol=1e-6)


def test_never_certain_before_an_evaluation(predictor, trained):
    assert not (trained / METRICS).exists()
    answer = predictor.predict(noise(1))[0]
    assert answer.label is None
    assert answer.threshold is None
    assert "evaluate.py" in predictor.answering.note
    assert answer.confidence == max(answer.probabilities.values())
    assert sum(answer.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("threshold", [0.0, 0.999999])
def test_answers_from_the_threshold_on(trained, threshold):
    predictor = load_predictor(trained)
    predictor.answering = Answering(temperature=2.0, threshold=threshold)
    answer = predictor.predict(noise(1))[0]
    best = max(answer.probabilities, key=answer.probabilities.get)
    assert answer.label == (best if threshold == 0 else None)


def test_a_model_that_answered_no_test_photo_is_not_said_to_give_no_answers(trained, tmp_path):
    fingerprint = load_predictor(trained).fingerprint
    selective = {"threshold": 0.99, "accepted": 0, "reason": "no photo is accepted"}
    metrics = {"model": {"fingerprint": fingerprint}, "temperature": 1.0, "selective": selective}
    (tmp_path / METRICS).parent.mkdir()
    (tmp_path / METRICS).write_text(json.dumps(metrics))
    assert read_answering(tmp_path, fingerprint) == Answering(threshold=0.99)


def test_temperature_divides_the_logits(trained):
    predictor = load_predictor(trained)
    plain = predictor.predict(noise(1))[0]
    predictor.answering = Answering(temperature=0.5)
    sharp = predictor.predict(noise(1))[0]
    odds = [np.log(np.divide(*a.probabilities.values())) for a in (plain, sharp)]
    assert odds[1] == pytest.approx(2 * odds[0], rel=1e-6)


def test_json_has_the_promised_fields(predictor):
    fields = json.loads(json.dumps(predictor.predict(noise(1), names=["<b>.jpg"])[0].to_json()))
    assert set(fields) == {
        "file",
        "label",
        "probabilities",
        "confidence",
        "threshold",
        "theta",
        "box",
    }
    assert fields["file"] == "<b>.jpg"
    assert np.shape(fields["theta"]) == (2, 3)
    assert np.shape(fields["box"]) == (4, 2)


def test_a_box_without_bounds_is_null(predictor, monkeypatch):
    monkeypatch.setattr(Photo, "to_original", lambda _, points: np.full_like(points, np.inf))
    (answer,) = predictor.predict(noise(1))
    assert not np.isfinite(answer.box).any()
    assert answer.to_json()["box"] is None


def test_evaluation_and_prediction_agree(trained, tmp_path):
    """A photo of the test split gets from `predict` what predictions.csv holds, to the bit."""
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    stn_jax.evaluate(workdir)
    table = read_table(workdir / "evaluation/predictions.csv")
    predictor = load_predictor(workdir)
    split = _test_split(predictor)
    for place in (0, len(table) - 1):
        content = io.BytesIO()
        Image.fromarray(split[place]["photo"]).save(content, "PNG")
        answer = predictor.predict([content.getvalue()])[0]
        assert list(answer.probabilities.values()) == table.probabilities[place].tolist()
        assert (answer.label is not None) == table.accepted[place]


def test_an_evaluation_of_other_weights_is_not_used(trained, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    (workdir / METRICS).parent.mkdir()
    other = {"model": {"fingerprint": "0" * 64}, "temperature": 1.0, "selective": {"threshold": 0}}
    (workdir / METRICS).write_text(json.dumps(other))
    predictor = load_predictor(workdir)
    assert predictor.answering.threshold is None
    assert "other weights" in predictor.answering.note


@pytest.mark.parametrize(
    ("part", "option", "value"),
    [
        ("model", "antialias", True),
        ("train", "precision", "bfloat16"),
        ("data", "fit", "stretch"),
    ],
)
def test_a_threshold_is_not_used_once_options_of_the_model_are_edited(
    trained, tmp_path, part, option, value
):
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    found = {
        "model": {"fingerprint": load_predictor(workdir).fingerprint},
        "temperature": 1.0,
        "selective": {"threshold": 0.5},
    }
    (workdir / METRICS).parent.mkdir()
    (workdir / METRICS).write_text(json.dumps(found))
    assert load_predictor(workdir).answering.threshold == 0.5
    config = json.loads((workdir / "config.json").read_text())
    config["train"]["steps"] += 1
    (workdir / "config.json").write_text(json.dumps(config))
    assert load_predictor(workdir).answering.threshold == 0.5
    config[part][option] = value
    (workdir / "config.json").write_text(json.dumps(config))
    answering = load_predictor(workdir).answering
    assert answering.threshold is None
    assert "other options of the model; evaluate again" in answering.note


def test_a_damaged_evaluation_is_said(trained, tmp_path):
    workdir = tmp_path / "my run"
    shutil.copytree(trained, workdir)
    (workdir / METRICS).parent.mkdir()
    (workdir / METRICS).write_text("{")
    with pytest.raises(WorkdirError, match=r"metrics\.json is damaged .*--workdir '.*/my run'$"):
        load_predictor(workdir)


def test_no_run_and_no_checkpoint_are_said(trained, tmp_path):
    with pytest.raises(WorkdirError, match="holds no run"):
        load_predictor(tmp_path)
    for name in ("config.json", "run.json"):
        shutil.copy(trained / name, tmp_path)
    with pytest.raises(WorkdirError, match="no checkpoint"):
        load_predictor(tmp_path)


def test_what_is_no_photo_is_refused_by_name(predictor, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear doctor")
    with pytest.raises(PhotoError, match=r"letter\.jpg: text, not a photo"):
        predictor.predict([tmp_path / "letter.jpg"])


def _test_split(predictor):
    from stn_jax.data.builder import prepare

    return prepare(predictor.run.config.data).splits["test"]

"""An exported model predicts the same with jax alone."""

import dataclasses
import json

import jax
import jax.export
import numpy as np
import pytest
from PIL import Image

import stn_jax
from stn_jax.evaluation.export import export, to_onnx, to_stablehlo
from stn_jax.evaluation.predictor import Answering, Predictor
from stn_jax.models import make_model
from stn_jax.training.checkpoint import Weights

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 42, 63, 3), np.uint8)


@pytest.fixture
def predictor(trained):
    predictor = stn_jax.load_predictor(trained)
    predictor.answering = Answering(temperature=0.7, threshold=0.8)
    return predictor


def test_stablehlo_predicts_the_same(predictor, tmp_path):
    lines = list(export(predictor, tmp_path))
    for file in tmp_path.iterdir():
        assert any(line.startswith(f"{file}: ") for line in lines), file
    graph = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))
    with np.load(tmp_path / "weights.npz") as file:
        weights = [file[name] for name in sorted(file.files)]
    for count in (1, 3):
        probabilities, theta = graph.call(weights, PHOTOS[:count])
        wanted = predictor.predict(PHOTOS[:count])
        np.testing.assert_allclose(
            probabilities, [list(a.probabilities.values()) for a in wanted], atol=1e-6
        )
        np.testing.assert_allclose(theta, [a.theta for a in wanted], atol=1e-6)


def test_description_says_when_to_answer(predictor, tmp_path):
    list(export(predictor, tmp_path))
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["classes"] == ["scales", "vesicles"]
    assert described["threshold"] == 0.8
    assert described["synthetic"] is True
    assert described["learned_before"] == []
    assert "SYNTHETIC" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("fit", "rotate", "words"),
    [
        ("pad", False, "to fit into 42 rows of 63 pixels, and\ncentred there on the colour"),
        ("crop", True, "counter-clockwise if it is higher than wide, cut around its middle"),
        ("stretch", False, "whatever its proportions"),
    ],
)
def test_the_readme_says_how_photos_are_prepared(predictor, tmp_path, fit, rotate, words):
    config = predictor.run.config
    data = dataclasses.replace(config.data, fit=fit, rotate_to_fit=rotate)
    run = dataclasses.replace(predictor.run, config=dataclasses.replace(config, data=data))
    predictor.run = run
    (tmp_path / "model.onnx").write_bytes(b"of other weights")
    next(export(predictor, tmp_path))
    assert not (tmp_path / "model.onnx").exists()
    list(export(predictor, tmp_path))
    assert words in (tmp_path / "README.md").read_text()
    described = json.loads((tmp_path / "model.json").read_text())
    assert (described["fit"], described["rotate_to_fit"]) == (fit, rotate)


def test_the_readme_s_way_to_prepare_a_photo_is_the_predictor_s(predictor, tmp_path):
    list(export(predictor, tmp_path))
    readme = (tmp_path / "README.md").read_text()
    assert "Bicubic is Pillow's" in readme
    assert "For research\nonly" in readme
    height, width = predictor.run.config.data.photo_size
    photo = np.random.default_rng(0).integers(0, 256, (4 * height, 4 * width, 3), np.uint8)
    prepared = Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(predictor.load(photo).pixels, np.asarray(prepared))


def test_the_readme_says_what_weights_learned_from_before(predictor, tmp_path):
    predictor.run = dataclasses.replace(
        predictor.run, data_name="clinic", learned_before=("SYNTHETIC", "scin")
    )
    list(export(predictor, tmp_path))
    words = "it had learned from generated photos (SYNTHETIC), then scin."
    assert words in (tmp_path / "README.md").read_text()


def test_onnx_predicts_the_same(predictor, tmp_path):
    pytest.importorskip("jax2onnx", reason="ONNX is optional: pip install jax2onnx onnxruntime")
    pytest.importorskip("onnxruntime", reason="ONNX is optional: pip install onnxruntime")
    assert to_onnx(predictor, tmp_path / "model.onnx") < 1e-4


def test_without_what_checks_it_there_is_no_onnx_file(predictor, tmp_path, monkeypatch):
    there = {"jax2onnx": "there", "onnxruntime": None}
    monkeypatch.setattr("importlib.util.find_spec", there.get)
    assert "pip install jax2onnx onnxruntime" in [*export(predictor, tmp_path)][-1]


def test_bfloat16_gives_no_onnx_file_and_says_why(predictor, tmp_path, monkeypatch):
    config = predictor.run.config
    small = dataclasses.replace(config.train, precision="bfloat16")
    run = dataclasses.replace(predictor.run, config=dataclasses.replace(config, train=small))
    monkeypatch.setattr(predictor, "run", run)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert (
        "no ONNX file: onnxruntime computes convolutions in float32"
        in [*export(predictor, tmp_path)][-1]
    )
    assert not list(tmp_path.glob("*.onnx*"))


def test_an_onnx_file_that_fails_its_check_is_removed(predictor, tmp_path, monkeypatch):
    def write_and_fail(predictor, path):
        path.write_bytes(b"half")
        raise RuntimeError("its answers differ")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(stn_jax.evaluation.export, "to_onnx", write_and_fail)
    with pytest.raises(RuntimeError, match="answers differ"):
        list(export(predictor, tmp_path))
    assert (tmp_path / "model.stablehlo").exists()
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    "transform", ["affine", "attention", "projective", "tps", "identity", "centre"]
)
def test_every_family_of_maps_is_exported_for_any_number_of_photos(predictor, transform):
    options = {"transform": transform, "head": "dense", "antialias": False, "keep_inside": False}
    model = dataclasses.replace(predictor.run.config.model, **options)
    config = dataclasses.replace(predictor.run.config, model=model)
    network = make_model(model, num_classes=2, mean_color=predictor.run.mean_color)
    variables = network.init(jax.random.key(0), PHOTOS[:1], train=False)
    run = dataclasses.replace(predictor.run, config=config)
    fresh = Predictor(run, Weights(variables, 0, by_validation=True), answering=predictor.answering)
    graph = jax.export.deserialize(to_stablehlo(fresh))
    probabilities, _ = graph.call(jax.tree.leaves(variables), PHOTOS)
    wanted = [list(answer.probabilities.values()) for answer in fresh.predict(PHOTOS)]
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)

"""A model of one-channel images takes every photo as grey."""

import base64
import io
import re

import numpy as np
import pytest
from photo_files import PHOTO_SIZE, encode, part, pixels
from PIL import Image

from stn_jax.evaluation.export import export
from stn_jax.evaluation.predictor import load_predictor
from stn_jax.web.command import warm_up


@pytest.fixture(scope="module")
def grey_predictor(grey_workdir):
    return load_predictor(grey_workdir)


def test_a_photo_in_colour_is_answered_as_its_grey_self(grey_predictor):
    warm_up(grey_predictor)
    colour = pixels(400, size=(70, 90))
    grey = np.asarray(Image.fromarray(colour).convert("L"))
    answers = grey_predictor.predict([grey[..., None], encode(grey, "PNG"), encode(colour, "PNG")])
    for answer in answers:
        assert answer.crop.shape[2] == 1
        np.testing.assert_allclose(answer.crop, answers[0].crop, atol=1)
    assert answers[0].probabilities == answers[1].probabilities


def test_what_is_padded_has_the_grey_of_the_training(grey_predictor):
    photo = grey_predictor.load(encode(np.zeros((90, 90, 3), np.uint8), "PNG"))
    assert photo.pixels.shape == (*PHOTO_SIZE, 1)
    assert set(np.unique(photo.pixels)) == {0, 40}


def test_the_page_shows_the_grey_crop_beside_the_photo(build, grey_predictor, photo):
    client = build(predictor=grey_predictor, evidence=None).test_client()
    response = client.post("/cards", data={"photo": part(photo)})
    assert response.status_code == 200
    crop = base64.b64decode(re.search('data:image/png;base64,([^"]+)', response.text).group(1))
    assert Image.open(io.BytesIO(crop)).mode == "L"


def test_an_export_says_that_it_takes_grey(grey_predictor, tmp_path):
    list(export(grey_predictor, tmp_path))
    assert "uint8 grey, [n, 60, 90, 1]" in (tmp_path / "README.md").read_text()

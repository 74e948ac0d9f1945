"""What the page says, and above all what it does not say."""

import copy
import dataclasses
import re

import numpy as np
import pytest
from photo_files import encode, part, pixels

from stn_jax.config import ModelConfig
from stn_jax.data.photo import Photo
from stn_jax.data.photo.formats import FORMATS
from stn_jax.evaluation.written import METRICS
from stn_jax.training.errors import WorkdirError
from stn_jax.web.evidence import read_evidence
from stn_jax.web.words import certainty_in_words, chance, choices, reason_in_words


def cards(client, *contents):
    response = client.post("/cards", data={"photo": [part(c, "a.png") for c in contents]})
    return response.text.split("</article>")[:-1]


def headline(card):
    return re.search(r"<h3>(.*?)</h3>", card).group(1)


def test_first_view(client, evidence):
    text = client.get("/").text
    assert "Scales or vesicles?" in text
    assert "SYNTHETIC" in text
    assert "Not for clinical decisions" in text
    assert f"{evidence['correct']} of {evidence['n']} right" in text
    assert f"{evidence['selective']['accepted']} of {evidence['n']} photos" in text
    selective = evidence["selective"]
    right = f"{100 * selective['correct'] / selective['accepted']:.1f} %"
    assert (
        f"{selective['correct']} of these answers were right ({right}; the true rate probably lies"
    ) in text


def test_each_class_says_how_many_were_right_of_how_many_before_what_may_be_out_of_view(
    build, evidence
):
    text = build(evidence=evidence | {"confusion": [[30, 10], [0, 0]]}).test_client().get("/").text
    rows = re.findall(r'<tr><th scope="row">(\w+)</th><td>(.*?)</td>', text)
    assert rows == [("scales", "30 of 40 (75.0 %)"), ("vesicles", "0 of 0")]


def test_one_mistake_in_thousands_is_told(build, evidence):
    accuracy = {"low": 0.99887, "high": 0.99996}
    counts = {"n": 5000, "correct": 4999, "accuracy": accuracy, "confusion": [[4000, 1], [0, 999]]}
    text = build(evidence=evidence | counts).test_client().get("/").text
    assert "That is 99.98 % of photos it had never seen" in text
    assert "lies between 99.9 and 99.996 %;" in text
    assert "4000 of 4001 (99.98 %)" in text


def test_photos_that_it_was_chosen_on_tell_no_true_rate(build, evidence):
    text = build(evidence=evidence | {"split": "val"}).test_client().get("/").text
    assert (
        "validation photos, on which it was chosen. Of photos it has never seen, expect fewer"
        in text
    )
    assert "The true rate" not in text


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ("affine", "looks for the part that matters, zooms in there, and says"),
        ("centre", "sees a fixed centre crop, and says"),
        ("identity", "sees the whole photo, shrunk (no zoom), and says"),
    ],
)
def test_a_network_that_does_not_look_for_anything_is_not_said_to(
    build, predictor, transform, words
):
    other = copy.copy(predictor)
    model = ModelConfig(crop_size=(20, 30), transform=transform)
    config = dataclasses.replace(predictor.run.config, model=model)
    other.run = dataclasses.replace(predictor.run, config=config)
    assert words in build(predictor=other).test_client().get("/").text


@pytest.mark.parametrize("heic", [False, True])
def test_the_page_names_every_kind_of_photo_that_it_reads(client, monkeypatch, heic):
    monkeypatch.setattr("stn_jax.web.page.HEIC_SUPPORTED", heic)
    text = client.get("/").text
    hint = re.search(r'<p id="hint">(.*?)</p>', text)[1].upper()
    assert [kind for kind in FORMATS if kind not in hint and kind != "HEIF"] == []
    assert ("HEIC" in hint, 'accept="image/*,.heic,.heif"' in text) == (heic, heic)


def test_an_answer(client, predictor, certain_and_not):
    content = certain_and_not[0]
    card = cards(client, content)[0]
    answer = predictor.predict([content])[0]
    assert headline(card) == answer.label
    for value in answer.probabilities.values():
        assert chance(value).replace("<", "&lt;").replace(">", "&gt;") in card
    assert re.search(r"Of \d+ test photos it was \d+ to \d+ % sure of, \d+ were right\.", card)
    assert "zoomed" in card
    assert "SYNTHETIC" in card


def test_an_area_without_bounds_is_not_outlined(client, certain_and_not, monkeypatch):
    card = cards(client, certain_and_not[0])[0]
    assert "<polygon" in card
    assert "Outlined" in card
    monkeypatch.setattr(Photo, "to_original", lambda _, points: np.full_like(points, np.inf))
    card = cards(client, certain_and_not[0])[0]
    assert "What it saw: an area without bounds." in card
    for words in ("inf", "nan", "<polygon", "Outlined", "beyond"):
        assert words not in re.sub('base64,[^"]*', "", card)


def test_not_certain_names_no_class_as_the_answer(client, predictor, certain_and_not):
    card = cards(client, certain_and_not[1])[0]
    assert headline(card) == "Not certain: no answer"
    assert "chosen" not in card
    # The classes keep their order, whichever is likelier.
    names = re.findall(r'<span class="name">(\w+)</span>', card)
    assert names == list(predictor.run.classes)


def test_what_calling_every_photo_the_commonest_would_reach_stands_beside_the_rate(build, evidence):
    counts = evidence["class_counts"] | {evidence["classes"][1]: 100}
    shown = {"class_counts": counts, "n": 100 + counts[evidence["classes"][0]]}
    text = build(evidence=evidence | shown).test_client().get("/").text
    wanted = f"commonest, <bdi>{evidence['classes'][1]}</bdi>, would be right for "
    rate = f"100 of {shown['n']} ({10000 / shown['n']:.1f} %)"
    assert wanted + rate in " ".join(text.split())


def test_what_the_first_weights_had_learned_from_is_said(build, evidence, predictor):
    words = "it had learned from other photos, then generated photos (SYNTHETIC)."
    started = copy.copy(predictor)
    started.run = dataclasses.replace(predictor.run, learned_before=("Bea", "SYNTHETIC"))
    for shown, said, known in (
        (predictor, False, evidence),
        (started, True, evidence),
        (started, True, None),
    ):
        text = build(predictor=shown, evidence=known).test_client().get("/").text
        assert (words in text) is said
        assert "Bea" not in text, "what a folder is called is the operator's affair"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"groups": 0, "ungrouped": 120}, "test is unknown, because no patients were named"),
        ({"groups": 9, "ungrouped": 20}, "is unknown for 20 of them, because their patients were"),
        ({"groups": 120, "ungrouped": 0}, None),
    ],
)
def test_of_which_photos_the_patient_is_unknown(build, evidence, known, words):
    text = " ".join(build(evidence=evidence | known).test_client().get("/").text.split())
    assert ("is unknown" in text) is (words is not None)
    assert words is None or words in text


def test_a_promise_that_the_test_contradicts_is_not_left_alone(build, evidence, predictor):
    always = dataclasses.replace(predictor.answering, threshold=0.0)
    eager = copy.copy(predictor)
    eager.answering = always
    for contradicted in (True, False):
        counts = evidence["selective"]["validation"] | {"errors": 3, "n": 150}
        selective = evidence["selective"] | {"contradicted": contradicted, "validation": counts}
        shown = evidence | {"selective": selective}
        text = build(predictor=eager, evidence=shown).test_client().get("/").text
        assert "It always answers" in text
        assert "it was wrong about 3 of 150 other photos" in text
        assert ("The test contradicts that." in text) is contradicted


def test_a_model_without_a_threshold_never_answers(build, silent_predictor):
    client = build(predictor=silent_predictor, evidence=None).test_client()
    assert "This model gives no answers" in client.get("/").text
    assert "has not been tested" in client.get("/").text
    assert "could be shown" not in client.get("/").text, "nobody has tried"
    for card in cards(client, *(encode(pixels(400 + i)) for i in range(4))):
        assert headline(card) == "Not certain: no answer"
        assert "nobody knows what being this sure is worth" in card


def test_a_model_that_answers_without_a_test_is_not_said_to_be_silent(build, evidence):
    text = build(evidence=evidence | {"n": 0}).test_client().get("/").text
    assert "It has not been tested." in text
    assert "gives no answers" not in text


def test_several_photos_keep_their_order(client, photo):
    files = [part(photo, "one.jpg"), part(b"text", "two.jpg"), part(photo, "three.jpg")]
    response = client.post("/", data={"photo": files})
    assert response.status_code == 200
    named = re.findall(r'<p class="file">(.*?)</p>', response.text)
    assert named == ["one.jpg", "two.jpg", "three.jpg"]
    assert "Text, not a photo." in response.text


def test_nothing_chosen(client):
    response = client.post("/", data={"photo": part(b"", "")}, headers={"Accept": "text/html"})
    assert response.status_code == 400
    assert "No photo came" in response.text
    assert "<html" in response.text


@pytest.mark.parametrize("count", [9, 31])
def test_too_many_photos_at_once(client, photo, count):
    files = [part(photo) for _ in range(count)]
    response = client.post("/", data={"photo": files}, headers={"Accept": "text/html"})
    assert response.status_code == 400
    assert "at most 8" in response.text
    assert "curl" not in response.text


def test_examples(client, predictor):
    assert client.get("/examples/0.jpg").mimetype == "image/jpeg"
    assert client.get("/examples/9.jpg").status_code == 404
    assert "example 2.png" in client.post("/?example=1").text
    for wrong in ("9", "-1", "x", "\u00b2", "9" * 5000):
        assert client.post("/cards", query_string={"example": wrong}).status_code == 400


def test_outline_is_where_the_predictor_looked(client, predictor):
    content = encode(pixels(400, size=(200, 150)), "PNG")
    card = cards(client, content)[0]
    outline = re.search(r'class="outline" points="(.*?)"', card).group(1)
    corners = np.array([point.split(",") for point in outline.split()], np.float64)
    np.testing.assert_allclose(corners, predictor.predict([content])[0].box, atol=0.06)
    assert 'width="150" height="200"' in card


def test_a_photo_on_its_side_is_shown_upright(client):
    sideways = encode(pixels(400, size=(60, 90)), exif=_orientation(6))
    assert 'width="60" height="90"' in cards(client, sideways)[0]


def _orientation(value):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "> 99.9 %"), (0.0, "< 0.1 %"), (0.924, "92.4 %"), (0.9995, "> 99.9 %")],
)
def test_no_probability_is_shown_as_sure(value, text):
    assert chance(value) == text


def test_what_is_too_little_for_an_answer_does_not_look_like_enough():
    assert (chance(0.92412, 0.92449), chance(0.92449, 0.92412)) == ("92.41 %", "92.45 %")
    assert (chance(0.99931, 0.99949), chance(0.99949, 0.99931)) == ("99.93 %", "99.95 %")
    assert chance(0.9, None) == chance(0.9, 0.9) == "90.0 %"


def test_choices():
    assert choices(["eczema", "psoriasis"]) == "Eczema or psoriasis?"
    assert choices(["a", "b", "c"]) == "A, b or c?"
    assert choices(list("abcdefg")) == "Which of 7 classes?"


def _bin(low, n, correct, *, width=0.25):
    return {"low": low, "high": low + width, "n": n, "correct": correct}


def test_what_being_this_sure_meant():
    evidence = {"split": "test", "n": 85, "reliability": [_bin(0.5, 1, 0), _bin(0.75, 84, 77)]}
    assert certainty_in_words(evidence, 0.8) == (
        "Of 84 test photos it was 75 to 100 % sure of, 77 were right."
    )
    assert certainty_in_words(evidence, 1.0) == certainty_in_words(evidence, 0.75)
    assert certainty_in_words(evidence, 0.5).startswith("Of 1 test photo it")
    assert "not been tested" in certainty_in_words(None, 0.6)


def _tested_on(*counts):
    """A test with as many photos in each bin from 50 % on."""
    bins = [_bin(0.5 + 0.1 * i, n, n, width=0.1) for i, n in enumerate(counts)]
    return {"split": "test", "n": sum(counts), "reliability": bins}


@pytest.mark.parametrize(
    ("counts", "others"),
    [
        ((0, 0, 8, 22), "surer of all 30 test photos than of this one"),
        ((30, 0, 0, 0), "less sure of all 30 test photos than of this one"),
        ((8, 0, 0, 22), "about this sure of none of 30 test photos"),
        ((0, 0, 0, 1), "surer of the one test photo than of this one"),
    ],
)
def test_a_test_without_photos_it_was_as_sure_of(counts, others):
    assert certainty_in_words(_tested_on(*counts), 0.65) == (
        f"It was {others}, so nobody knows how often it is right when it is 60 to 70 % sure."
    )


def test_a_test_without_photos_says_nothing():
    assert "not been tested" in certainty_in_words(_tested_on(0, 0), 0.65)


def test_tests_of_other_weights_are_not_shown(workdir, silent_workdir, predictor):
    assert read_evidence(workdir, predictor.fingerprint)["n"] == 120
    assert read_evidence(workdir, "of other weights") is None
    assert read_evidence(silent_workdir, predictor.fingerprint) is None


@pytest.mark.parametrize("text", ["", "[]", '{"model": {"fingerprint": "f"}}'])
def test_a_damaged_evaluation_is_named(tmp_path, text):
    workdir = tmp_path / "my run"
    (workdir / METRICS).parent.mkdir(parents=True)
    (workdir / METRICS).write_text(text)
    with pytest.raises(
        WorkdirError, match=r"metrics\.json is damaged .*evaluate again: .*my run'$"
    ):
        read_evidence(workdir, "f")


def test_a_phone_s_own_format_is_refused_without_the_operator_s_part(client):
    card = cards(client, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")[0]
    assert headline(card) == "This photo cannot be used"
    assert "pillow" not in card


def test_reasons_for_people_name_no_options():
    assert reason_in_words("13000x13000 are more (--data.max-megapixels)") == (
        "13000x13000 are more."
    )

"""The interface for programs: the numbers of predict.py, and a clear no to everything else."""

import copy
import dataclasses
import json
import threading

import numpy as np
import pytest
from photo_files import encode, part, pixels

import stn_jax


def post(client, *files, **options):
    return client.post("/api/v1/predict", data={"photo": [part(*f) for f in files]}, **options)


def test_same_numbers_as_the_predictor_to_the_bit(client, predictor):
    contents = [encode(pixels(400 + i, size=(90 + i, 140)), "PNG") for i in range(5)]
    names = [f"p{i}.png" for i in range(5)]
    response = post(client, *zip(contents, names, strict=True))
    assert response.status_code == 200
    expected = [p.to_json() for p in predictor.predict(contents, names=names)]
    assert response.json["predictions"] == expected
    # Classes keep the order of the logits, as in predict.py.
    first = json.loads(response.text)["predictions"][0]
    assert list(first) == list(expected[0])
    assert list(first["probabilities"]) == list(predictor.run.classes)


def test_says_which_model_and_that_it_is_synthetic(client, predictor, photo):
    body = post(client, (photo, "a.jpg")).json
    assert body["model"] == predictor.fingerprint
    assert body["synthetic"] is True


def test_label_is_null_when_not_certain(client, certain_and_not):
    certain, not_certain = certain_and_not
    labels = [p["label"] for p in post(client, (certain,), (not_certain,)).json["predictions"]]
    assert labels[0] in ("scales", "vesicles")
    assert labels[1] is None


def test_a_bad_photo_among_good_ones_is_named(client, photo):
    response = post(client, (photo, "good.jpg"), (b"no photo", "bad.jpg"))
    assert response.status_code == 200
    assert [p["file"] for p in response.json["predictions"]] == ["good.jpg"]
    assert response.json["refused"] == [{"file": "bad.jpg", "reason": "text, not a photo"}]


def test_only_bad_photos_are_422(client):
    response = post(client, (b"no photo", "bad.jpg"))
    assert response.status_code == 422
    assert response.json["predictions"] == []


@pytest.mark.parametrize("count", [9, 31])
def test_too_many_photos(client, photo, count):
    response = post(client, *[(photo, f"{i}.jpg") for i in range(count)])
    assert response.status_code == 400
    assert "at most 8" in response.json["error"]


@pytest.mark.parametrize(("count", "length"), [(1, 600_000), (40, 1)])
def test_too_long_and_too_many_fields_are_not_too_many_bytes(client, count, length):
    field = b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\n%s\r\n' % (b"x" * length)
    body, kind = field * count + b"--b--\r\n", "multipart/form-data; boundary=b"
    response = client.post("/api/v1/predict", data=body, content_type=kind)
    assert response.status_code == 400
    assert response.json["error"] == (
        "Send at most 8 photos at once, each as a file (curl -F photo=@a.jpg)."
    )


def test_photos_of_many_requests_do_not_change_each_other(build, predictor):
    contents = [encode(pixels(400 + i), "PNG") for i in range(24)]
    expected = [p.to_json()["probabilities"] for p in predictor.predict(contents)]
    app, found = build(), {}

    def ask(i):
        body = post(app.test_client(), (contents[i], "a.png")).json
        found[i] = body["predictions"][0]["probabilities"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(24)] == expected
    calls = next(
        float(line.split()[1])
        for line in app.test_client().get("/metrics").text.splitlines()
        if line.startswith("stn_jax_batch_photos_count")
    )
    assert calls < 24, "requests that wait at the same time share calls of the model"


def test_model(client, predictor):
    body = client.get("/api/v1/model").json
    assert body["classes"] == list(predictor.run.classes)
    assert body["threshold"] == predictor.answering.threshold
    assert body["fingerprints"]["model"] == predictor.fingerprint
    assert body["fingerprints"]["data"] == predictor.run.data_fingerprint
    assert body["metrics"]["n"] == 120
    assert body["version"] == stn_jax.__version__


def test_model_that_started_from_another(build, predictor):
    started = copy.copy(predictor)
    started.run = dataclasses.replace(predictor.run, learned_before=("Bea", "SYNTHETIC"))
    for shown, learned in ((predictor, []), (started, ["other photos", "SYNTHETIC"])):
        body = build(predictor=shown).test_client().get("/api/v1/model").json
        assert body["learned_before"] == learned


def test_model_that_was_not_evaluated(build, silent_predictor):
    client = build(predictor=silent_predictor, evidence=None).test_client()
    body = client.get("/api/v1/model").json
    assert body["threshold"] is None
    assert body["metrics"] is None
    assert "not evaluated" in body["note"]


def test_nothing_of_the_operators_machine_is_told(build, silent_predictor):
    for app in (build(), build(predictor=silent_predictor, evidence=None)):
        assert "/" not in app.test_client().get("/api/v1/model").text


def test_document_describes_every_path_and_answer(client, photo):
    document = client.get("/api/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    rules = client.application.url_map.iter_rules()
    served = {str(rule) for rule in rules if rule.endpoint.startswith(("api.", "health."))}
    assert set(document["paths"]) == served
    for methods in document["paths"].values():
        for described in methods.values():
            assert "431" in described["responses"], "the server's own refusal, of any path"
    schemas = document["components"]["schemas"]
    body = post(client, (photo, "a.jpg")).json
    assert set(body) == set(schemas["Answers"]["required"])
    assert set(body["predictions"][0]) == set(schemas["Prediction"]["required"])
    assert set(client.get("/api/v1/model").json) == set(schemas["Model"]["required"])


def test_health_and_counters(build, photo):
    client = build().test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    post(client, (photo, "secret-name.jpg"))
    client.get("/made-up-path")
    text = client.get("/metrics").text
    assert 'stn_jax_requests_total{endpoint="api.predict",status="200"} 1.0' in text
    assert 'endpoint="none",status="404"' in text
    assert "secret-name" not in text
    assert "made-up-path" not in text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_wrong_method(client, method):
    response = client.open("/api/v1/predict", method=method)
    assert response.status_code == 405
    assert response.json["error"]
    assert "POST" in response.headers["Allow"]


def test_numbers_survive_json(client, predictor, photo):
    box = post(client, (photo, "a.jpg")).json["predictions"][0]["box"]
    assert np.array_equal(np.array(box), predictor.predict([photo])[0].box)

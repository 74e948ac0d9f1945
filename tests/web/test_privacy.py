"""Photos stay in memory, unnamed, and come back without their metadata."""

import base64
import io
import logging
import os
import re
import sys

import numpy as np
import pytest
from photo_files import encode, part, pixels
from PIL import Image

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("open", "tempfile.mkstemp", "os.mkdir", "os.rename", "os.fork", "subprocess.Popen")
_opened: list[str] = []
_watching = False


def _hook(event, arguments):
    if _watching and event in EVENTS:
        if event == "open":
            _, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if mode else flags & WRITING
            if not writes:
                return
        _opened.append(f"{event} {arguments[0]}")


sys.addaudithook(_hook)


@pytest.fixture
def writes():
    """Every file that this process opens for writing, temporary ones included, and every fork."""
    global _watching
    _opened.clear()
    _watching = True
    yield _opened
    _watching = False


def _large_photo():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1300, 3), np.uint8)
    content = encode(noise, "PNG")
    assert len(content) > 2e6
    return content


def test_the_watch_sees_temporary_files(writes):
    import tempfile

    with tempfile.TemporaryFile():
        pass
    assert writes


def test_a_hundred_uploads_write_no_file_and_fork_nothing(live, photo, writes):
    import requests

    large = _large_photo()
    session = requests.Session()
    for i in range(98):
        files = {"photo": (f"{i}.jpg", photo)}
        assert session.post(f"{live.url}/cards", files=files).status_code == 200
    for path in ("/api/v1/predict", "/cards"):
        answer = session.post(live.url + path, files={"photo": ("large.png", large)})
        assert answer.status_code == 200
    session.close()
    assert writes == []


def test_logs_name_nobody(build, photo, caplog, monkeypatch):
    app = build()
    name = "Jane-Doe-1961.jpg"
    with caplog.at_level(logging.DEBUG):
        for content in (photo, b"no photo", photo[:200]):
            app.test_client().post("/api/v1/predict", data={"photo": part(content, name)})
        answerer = app.extensions["stn_jax"].answerer
        monkeypatch.setattr(answerer, "_load", _fail)
        response = app.test_client().post("/api/v1/predict", data={"photo": part(photo, name)})
    assert response.status_code == 500
    assert "Jane" not in response.text
    assert "RuntimeError while answering api.predict" in caplog.text
    assert "Jane" not in caplog.text


def _fail(upload):
    raise RuntimeError(f"cannot load {upload.name}")


def test_returned_pictures_carry_no_metadata(client):
    exif = Image.Exif()
    exif[0x010F] = "Maker of Jane Doe's camera"
    content = encode(pixels(400), exif=exif, comment=b"Jane Doe, born 1961")
    text = client.post("/cards", data={"photo": part(content)}).text
    pictures = re.findall(r"data:image/(\w+);base64,([^\"]+)", text)
    assert [kind for kind, _ in pictures] == ["jpeg", "png"]
    for _, data in pictures:
        raw = base64.b64decode(data)
        assert b"Jane" not in raw
        assert b"Exif" not in raw
        image = Image.open(io.BytesIO(raw))
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_browsers_keep_nothing(client, photo):
    for path in ("/", "/cards", "/api/v1/predict"):
        response = client.post(path, data={"photo": part(photo)})
        assert response.headers["Cache-Control"] == "no-store"
    assert client.get("/examples/0.jpg").headers["Cache-Control"] == "no-store"

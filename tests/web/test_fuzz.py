"""Whatever is sent to what OpenAPI describes: no failure of ours, and answers as documented."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from photo_files import encode, pixels

TYPES = st.sampled_from(
    [
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/x-www-form-urlencoded",
        "application/json",
        "image/jpeg",
        "",
        "\u00e4/\u00f6; charset=\u00fc",
    ]
)
GOOD = encode(pixels(400))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n'), max_size=40)


@st.composite
def damaged_photos(draw):
    """A photo with a few bytes changed or cut off."""
    content = bytearray(GOOD[: draw(st.integers(0, len(GOOD)))])
    for _ in range(draw(st.integers(0, 4))):
        if content:
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


@st.composite
def forms(draw):
    """Multipart bodies of files and fields, some of them broken."""
    body = b""
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from(["photo", "other", ""]))
        name = draw(st.none() | NAMES)
        file = "" if name is None else f'; filename="{name}"'
        content = draw(st.just(GOOD) | damaged_photos() | st.binary(max_size=60))
        body += f'--b\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + draw(st.sampled_from([b"--b--\r\n", b"--b", b""]))


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(["text/html", "application/json", "*/*;q=x", "\u00e4"]),
        "Origin": st.sampled_from(["http://localhost", "http://evil.example", "null", "http://["]),
        "Authorization": st.sampled_from(["Bearer x", "Basic eA==", "\u00e4", "Bearer"]),
        "Cookie": st.sampled_from(["stn_jax=x", "stn_jax=\u00e4", "=;;"]),
        "Host": st.sampled_from(["localhost", "[::1", "a:b:c", "[", "localhost:99999"]),
        "Range": st.just("bytes=0-5"),
        "Expect": st.just("100-continue"),
    },
)


@pytest.fixture(scope="module")
def fuzzed(predictor, evidence):
    from stn_jax.web.app import close_app, make_app

    app = make_app(predictor, evidence=evidence)
    yield app.test_client()
    close_app(app)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=forms() | st.binary(max_size=200), kind=TYPES, headers=HEADERS)
def test_predict(fuzzed, body, kind, headers):
    response = fuzzed.post(
        "/api/v1/predict", data=body, content_type=_latin(kind), headers=_all_latin(headers)
    )
    check(fuzzed, "/api/v1/predict", "post", response)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), headers=HEADERS)
def test_every_path(fuzzed, data, headers):
    document = json.loads(fuzzed.get("/api/v1/openapi.json").text)
    path = data.draw(st.sampled_from(sorted(document["paths"])))
    query = data.draw(st.dictionaries(NAMES, NAMES, max_size=2))
    response = fuzzed.get(path, query_string=query, headers=_all_latin(headers))
    if "get" in document["paths"][path]:
        check(fuzzed, path, "get", response)
    else:
        # Who asks is checked before what is asked.
        assert response.status_code in (400, 405)


def check(client, path, method, response):
    assert response.status_code < 500, response.text
    document = client.get("/api/v1/openapi.json").json
    described = document["paths"][path][method]["responses"]
    assert str(response.status_code) in described
    content = described[str(response.status_code)]["content"]
    assert response.mimetype in content
    reference = content[response.mimetype]["schema"].get("$ref")
    if reference:
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
        assert set(response.json) == set(schema["required"])


def _latin(text):
    """As bytes beyond ASCII reach an application by WSGI."""
    return text.encode().decode("latin-1")


def _all_latin(headers):
    return {name: _latin(value) for name, value in headers.items()}

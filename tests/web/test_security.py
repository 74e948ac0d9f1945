"""Who is let in, what a browser may do with the answers, and that names are only ever text."""

import re

import pytest
from photo_files import part

from stn_jax.config import ConfigError
from stn_jax.web.security import Access, check_listening
from stn_jax.web.uploads import clean_name

TOKEN = "a-token-of-some-length"
INLINE = r"<style|\sstyle=|\son\w+=|javascript:"


@pytest.fixture
def guarded(build):
    return build(access=Access(token=TOKEN)).test_client()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/model", "/static/page.css", "/healthz", "/metrics", "/no-such-page"]
)
def test_every_response_is_marked(client, path):
    with client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in policy
    assert "base-uri 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_pages_hold_no_inline_script_or_style(client, photo):
    for text in (
        client.get("/").text,
        client.post("/", data={"photo": part(photo)}).text,
    ):
        assert not re.search(INLINE, text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_posts_from_other_sites_are_refused(client, photo, headers):
    for path in ("/", "/cards", "/api/v1/predict"):
        assert client.post(path, data={"photo": part(photo)}, headers=headers).status_code == 403


def test_posts_from_the_page_itself_and_from_programs_are_taken(client, photo):
    for headers in (
        {},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        response = client.post("/api/v1/predict", data={"photo": part(photo)}, headers=headers)
        assert response.status_code == 200


def test_a_proxy_may_listen_on_a_port_that_it_does_not_pass_on(build, photo):
    client = build(access=Access(public_url="https://photos.example.org:8443/")).test_client()
    for port, status in ((8443, 200), (8444, 403)):
        headers = {
            "Host": "photos.example.org",
            "Origin": f"https://photos.example.org:{port}",
            "Sec-Fetch-Site": "same-origin",
        }
        response = client.post("/cards", data={"photo": part(photo)}, headers=headers)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7", 200),
        ("photos.example.org", 200),
        ("clinic-server:8000", 200),
        ("clinic-machine:8000", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
        ("a b", 400),
    ],
)
def test_host_header(build, host, status, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Clinic-Machine")
    access = Access(public_url="https://photos.example.org", host="Clinic-Server")
    client = build(access=access).test_client()
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_a_program_shows_the_token(guarded):
    assert guarded.get("/api/v1/model", headers=bearer(TOKEN)).status_code == 200
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "t\u00f6ken"):
        response = guarded.get("/api/v1/model", headers=bearer(wrong))
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json["error"]


def test_a_person_signs_in_and_out(guarded):
    html = {"Accept": "text/html"}
    first = guarded.get("/", headers=html)
    assert first.status_code == 401
    assert 'name="token"' in first.text
    assert "scales" not in first.text
    wrong = guarded.post("/sign-in", data={"token": "wrong"})
    assert wrong.status_code == 401
    assert "not the token" in wrong.text
    assert not re.search(INLINE, wrong.text)
    right = guarded.post("/sign-in", data={"token": TOKEN})
    assert right.status_code == 303
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/", headers=html).status_code == 200
    # As a proxy with passwords of its own passes them on.
    passed_on = html | {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}
    assert guarded.get("/", headers=passed_on).status_code == 200
    guarded.post("/sign-out")
    assert guarded.get("/", headers=html).status_code == 401


def test_servers_on_two_ports_of_a_machine_do_not_sign_each_other_s_people_out(build):
    names = set()
    for token in (TOKEN, TOKEN[::-1]):
        client = build(access=Access(token=token)).test_client()
        response = client.post("/sign-in", data={"token": token})
        names.add(response.headers["Set-Cookie"].partition("=")[0])
    assert len(names) == 2


def test_nobody_signs_in_where_there_is_no_token(client):
    assert client.get("/sign-in").headers["Location"] == "/"
    assert client.post("/sign-in", data={"token": ""}).headers["Location"] == "/"


def test_the_cookie_is_for_tls_alone_where_there_is_tls(build):
    access = Access(token=TOKEN, public_url="https://photos.example.org")
    response = build(access=access).test_client().post("/sign-in", data={"token": TOKEN})
    assert "Secure" in response.headers["Set-Cookie"]


def test_without_the_token_only_health_is_answered(guarded, photo):
    open_paths = {"/healthz", "/readyz", "/sign-in", "/static/page.css"}
    for path in (*open_paths, "/", "/metrics", "/api/v1/model", "/api/v1/openapi.json"):
        with guarded.get(path) as response:
            assert (response.status_code == 200) == (path in open_paths), path
    assert guarded.get("/examples/0.jpg").status_code == 401
    assert guarded.post("/cards", data={"photo": part(photo)}).status_code == 401


def test_a_token_of_sixteen_characters_is_long_enough():
    Access(token="x" * 16)


@pytest.mark.parametrize("token", ["", "x" * 15, "sixteen letters\u00e4", "sixteen letters\n"])
def test_tokens_that_cannot_be(token):
    with pytest.raises(ConfigError, match="--token must"):
        Access(token=token)


@pytest.mark.parametrize(
    "url",
    [
        "photos.example.org",
        "ftp://a.example",
        "https://",
        "https://[",
        "",
        "https://a.example/photos",
        "https://a.example?photos",
        "https://a.example/#photos",
    ],
)
def test_public_urls_that_cannot_be(url):
    with pytest.raises(ConfigError, match="--public-url"):
        Access(public_url=url)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "clinic-server"])
def test_other_machines_need_a_token(host):
    with pytest.raises(ConfigError, match="--token"):
        check_listening(Access(host=host), insecure_no_token=False)
    check_listening(Access(host=host), insecure_no_token=True)
    check_listening(Access(token=TOKEN, host=host), insecure_no_token=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(host):
    check_listening(Access(host=host), insecure_no_token=False)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.jpg", "a.jpg"),
        ("../../etc/passwd", "passwd"),
        (r"C:\photos\a.jpg", "a.jpg"),
        ("a\x00b\n\u202ec.jpg", "a b  c.jpg"),
        ("", "photo"),
        (None, "photo"),
        ("..", "photo"),
        ("/", "photo"),
    ],
)
def test_names_are_shown_without_path_or_tricks(name, shown):
    assert clean_name(name) == shown


def test_long_names_are_cut():
    name = clean_name("a" * 5000 + ".jpg")
    assert len(name) <= 80
    assert name.endswith(".jpg")


def test_names_are_escaped(client, photo):
    name = "<img src=x onerror=alert(1)>.jpg"
    for path in ("/", "/cards"):
        for content in (photo, b"no photo"):
            text = client.post(path, data={"photo": part(content, name)}).text
            assert "<img src=x" not in text
            assert "&lt;img src=x" in text

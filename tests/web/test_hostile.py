"""Uploads made to break something, over a real connection: refused, and the page lives on."""

import contextlib
import http.client
import io
import json
import socket
import struct
import time
import zlib

import psutil
import pytest
import requests

from stn_jax.web.limits import Limits

LIMITS = Limits(max_megabytes=1.0, upload_limit=2.0)


@pytest.fixture
def server(build, go_live, photo):
    """A server with a limit of 1 MB, that must still answer a good photo after the test."""
    live = go_live(build(limits=LIMITS), LIMITS)
    yield live
    assert upload(live, photo).status_code == 200


def upload(live, content, name="a.jpg", **options):
    files = {"photo": (name, content)}
    return requests.post(f"{live.url}/api/v1/predict", files=files, timeout=30, **options)


def png_bomb(width, height):
    """A small PNG file that claims, and holds, very many pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width * 3)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just text",
        b"<!doctype html><script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"%PDF-1.7",
        b"\xff\xd8\xff\xe0" + b"\0" * 50,
        b"GIF89a" + b"\xff" * 20,
        bytes(range(256)) * 40,
    ],
    ids=["empty", "text", "html", "svg", "pdf", "jpeg-head", "gif-head", "noise"],
)
def test_what_is_no_photo(server, content):
    response = upload(server, content)
    assert response.status_code == 422
    assert response.json()["refused"][0]["reason"]
    assert "Traceback" not in response.text


def test_a_photo_that_is_cut_off(server, photo):
    assert upload(server, photo[: len(photo) // 2]).status_code == 422


def test_a_bomb_is_refused_before_it_is_decoded(server):
    bomb = png_bomb(13_000, 13_000)
    assert len(bomb) < 1e6
    process = psutil.Process()
    before = process.memory_info().rss
    response = upload(server, bomb)
    assert response.status_code == 422
    assert "megapixels" in response.json()["refused"][0]["reason"]
    # Decoded it would be 507 MB.
    assert process.memory_info().rss - before < 100e6


def test_too_large(server):
    response = upload(server, b"x" * 1_100_000)
    assert response.status_code == 413
    assert response.json()["error"] == "That is more than 1 MB at once."


def test_far_too_large_is_not_even_received(server):
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000000\r\n\r\n"
    assert refusal(server, head) == (413, "That is more than 1 MB at once.")


@pytest.mark.parametrize("size", [1_100_000, 3_000_000])
def test_too_large_in_chunks(server, size):
    def chunks():
        yield b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
        for _ in range(size // 10_000):
            yield b"x" * 10_000
        yield b"\r\n--b--\r\n"

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    try:
        connection.request("POST", "/api/v1/predict", body=chunks(), headers=headers)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        # Twice the limit is cut off while it is still being sent.
        assert size > 2 * LIMITS.max_bytes
    finally:
        connection.close()


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "<img src=x onerror=alert(1)>",
        "a" * 5000,
        "a\u202eb.jpg",
        "a\\b",
        "\x7f",
    ],
)
def test_names_change_nothing(server, photo, name):
    response = upload(server, photo, name)
    assert response.status_code == 200
    shown = response.json()["predictions"][0]["file"]
    assert len(shown) <= 80
    assert "/" not in shown
    assert shown.isprintable()


FORM = "multipart/form-data; boundary=b"


def raw_form(disposition, content=b"x"):
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (raw_form(b'form-data; name="other"; filename="a.jpg"'), FORM),
        (raw_form(b'form-data; name="photo"'), FORM),
        (raw_form(b'form-data; name="photo"; filename="a\0b"'), FORM),
        (raw_form(b"garbage"), FORM),
        (
            raw_form(b'form-data; name="photo"; filename="a"')[:-8],
            "multipart/form-data; boundary=b",
        ),
        (b"--b\r\n" * 5000, FORM),
        (b"photo=abc", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"abc", "multipart/form-data"),
        (b"abc", "multipart/form-data; boundary="),
        (b"", "image/jpeg"),
    ],
)
def test_forms_that_are_not(server, body, kind):
    response = requests.post(
        f"{server.url}/api/v1/predict", data=body, headers={"Content-Type": kind}, timeout=30
    )
    assert 400 <= response.status_code < 500, response.text


def test_two_files_inside_one_field(server, photo):
    inner = (
        b'--i\r\nContent-Disposition: file; filename="a.jpg"\r\n\r\n' + photo + b"\r\n"
        b'--i\r\nContent-Disposition: file; filename="b.jpg"\r\n\r\n' + photo + b"\r\n--i--"
    )
    body = (
        b'--b\r\nContent-Disposition: form-data; name="photo"\r\n'
        b"Content-Type: multipart/mixed; boundary=i\r\n\r\n" + inner + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = requests.post(f"{server.url}/api/v1/predict", data=body, headers=headers, timeout=30)
    assert response.status_code == 400


def test_a_huge_header(server):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
    assert refusal(server, head) == (
        431,
        "Request Header Fields Too Large: exceeds max_header of 32768.",
    )


def test_a_malformed_header(server):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"
    assert refusal(server, head) == (400, "Bad Request: Content-Length is invalid.")


@pytest.mark.parametrize(
    "line", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n:\r\n\r\n"]
)
def test_what_is_no_request(server, line):
    assert exchange(server, line)[9:12] in (b"400", b"505", b"")


def refusal(live, content):
    """Sends bytes, and returns the status and the error that come back as JSON."""
    head, _, body = exchange(live, content, whole=True).partition(b"\r\n\r\n")
    for mark in (b"content-type: application/json", b"nosniff", b"cache-control: no-store"):
        assert mark in head.lower()
    return int(head[9:12]), json.loads(body)["error"]


def exchange(live, content, *, whole=False):
    """Sends bytes, and returns what comes back: the headers, or all until the server closes."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=5) as connection:
        received = b""
        try:
            connection.sendall(content)
            while data := connection.recv(65536):
                received += data
                if b"\r\n\r\n" in received and not whole:
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


def test_stalled_uploads_hold_nobody_up_and_are_dropped(server):
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n"
    stalled = []
    try:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=15)
            connection.sendall(head + b"x" * 1000)
            stalled.append(connection)
        times = []
        for _ in range(10):
            began = time.monotonic()
            assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
            times.append(time.monotonic() - began)
        # The fastest: the machine may be busy with other things than this server.
        assert min(times) < 0.1
        # A byte now and then does not keep a connection open for ever either.
        until = time.monotonic() + 12
        while stalled and time.monotonic() < until:
            stalled = [each for each in stalled if _still_open(each)]
            time.sleep(0.3)
        assert not stalled
    finally:
        for connection in stalled:
            connection.close()


def test_answers_that_nobody_takes_are_dropped(server):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(15)
    connection.connect(("127.0.0.1", server.port))
    with connection:
        # Together more than what systems hold for a reader.
        connection.sendall(b"GET /static/page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        until = time.monotonic() + 12
        # A byte now and then keeps it open no longer.
        while still_open := _still_open(connection):
            if time.monotonic() > until:
                break
            time.sleep(0.3)
        assert not still_open


def test_connections_without_a_request_keep_nobody_out(build, go_live):
    limits = Limits(queue=4, max_photos=4)
    live = go_live(build(limits=limits), limits)
    with contextlib.ExitStack() as stack:
        # As browsers do, which keep several connections each.
        for _ in range(3 * limits.queue + 8):
            kept = http.client.HTTPConnection("127.0.0.1", live.port, timeout=15)
            stack.callback(kept.close)
            kept.request("GET", "/healthz")
            assert kept.getresponse().read() == b"ok\n"


def _still_open(connection):
    try:
        connection.sendall(b"x")
        connection.setblocking(False)
        try:
            closed = connection.recv(1) == b""
        except BlockingIOError:
            closed = False
        connection.setblocking(True)
    except OSError:
        closed = True
    if closed:
        connection.close()
    return not closed


def test_memory_is_bounded(server, photo):
    process = psutil.Process()
    upload(server, photo)
    before = process.memory_info().rss
    noise = io.BytesIO(zlib.compress(bytes(10)) * 40_000).getvalue()
    for _ in range(60):
        upload(server, noise)
    assert process.memory_info().rss - before < 50e6

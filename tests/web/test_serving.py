"""Waiting, refusing, and stopping without losing anybody's answer."""

import contextlib
import dataclasses
import http.client
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from photo_files import part

import serve as serve_program
from stn_jax import cli
from stn_jax.config import ConfigError
from stn_jax.training.errors import WorkdirError
from stn_jax.web.batching import Batcher, BusyError
from stn_jax.web.command import warm_up
from stn_jax.web.limits import Limits
from stn_jax.web.server import _Channel, bind

ROOT = Path(__file__).parents[2]


class SlowPredictor:
    """A predictor that answers only once it is let go."""

    def __init__(self, predictor):
        self._predictor = predictor
        self.run = predictor.run
        self.answering = predictor.answering
        self.fingerprint = predictor.fingerprint
        self.load = predictor.load
        self.started = threading.Event()
        self.go = threading.Event()
        self.batches = []

    def answer(self, photos, files):
        self.started.set()
        assert self.go.wait(20)
        self.batches.append(len(photos))
        return self._predictor.answer(photos, files)


@pytest.fixture
def slow(predictor, monkeypatch):
    slow = SlowPredictor(predictor)
    yield slow
    slow.go.set()


@pytest.fixture
def slow_app(build, slow, predictor, monkeypatch):
    """Makes applications whose model waits to be let go."""

    def make(**limits):
        app = build(limits=Limits(**limits))
        monkeypatch.setattr(app.extensions["stn_jax"].answerer.batcher, "_predictor", slow)
        return app

    return make


def post(app, photo, *, path="/api/v1/predict", count=1):
    files = [part(photo, f"{i}.jpg") for i in range(count)]
    return app.test_client().post(path, data={"photo": files})


def in_thread(results, function, *arguments, **options):
    thread = threading.Thread(
        target=lambda: results.append(function(*arguments, **options).status_code)
    )
    thread.start()
    return thread


def test_who_waits_is_answered_together_with_others(slow_app, slow, photo):
    app, results = slow_app(), []
    threads = [in_thread(results, post, app, photo)]
    assert slow.started.wait(20)
    threads += [in_thread(results, post, app, photo) for _ in range(8)]
    batcher = app.extensions["stn_jax"].answerer.batcher
    _wait_for(lambda: batcher.waiting == 8)
    assert "stn_jax_queue_photos 8.0" in app.test_client().get("/metrics").text
    slow.go.set()
    for thread in threads:
        thread.join()
    assert results == [200] * 9
    assert slow.batches == [1, 8]


@pytest.mark.parametrize("path", ["/api/v1/predict", "/cards", "/"])
def test_a_full_house_sends_others_away(slow_app, slow, photo, path):
    app, results = slow_app(queue=2, max_photos=2), []
    threads = [in_thread(results, post, app, photo) for _ in range(2)]
    assert slow.started.wait(20)
    house = app.extensions["stn_jax"].answerer._house
    _wait_for(lambda: house._value == 0)
    response = post(app, photo, path=path)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert app.test_client().get("/healthz").status_code == 200
    slow.go.set()
    for thread in threads:
        thread.join()
    assert results == [200, 200]
    assert post(app, photo).status_code == 200


def test_photos_beyond_the_queue_are_sent_away_together(slow_app, slow, photo):
    app, results = slow_app(queue=4, max_photos=4), []
    threads = [in_thread(results, post, app, photo)]
    assert slow.started.wait(20)
    threads.append(in_thread(results, post, app, photo))
    batcher = app.extensions["stn_jax"].answerer.batcher
    _wait_for(lambda: batcher.waiting == 1)
    response = post(app, photo, count=4)
    assert response.status_code == 503
    assert "Too many photos are waiting" in response.json["error"]
    assert batcher.waiting == 1
    slow.go.set()
    for thread in threads:
        thread.join()
    assert results == [200, 200]


def test_a_request_is_given_up_after_its_time(slow_app, slow, photo):
    app = slow_app(time_limit=0.2)
    response = post(app, photo)
    assert response.status_code == 503
    assert "too long" in response.json["error"]
    # Nobody waits for these two any more, so the model is not asked about the second.
    post(app, photo)
    slow.go.set()
    _wait_for(lambda: app.extensions["stn_jax"].answerer.batcher.waiting == 0)
    assert slow.batches in ([], [1])


@contextlib.contextmanager
def all_decoders_taken(app):
    with contextlib.ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            deadline = time.monotonic() + 20
            stack.enter_context(app.extensions["stn_jax"].answerer.decoding(deadline))
        yield


def test_pictures_of_examples_wait_for_nobody(build):
    """Else two people who open the page of a busy server would take the threads to spare."""
    app = build(limits=Limits(time_limit=0.2))
    with all_decoders_taken(app):
        assert app.test_client().get("/examples/0.jpg").status_code == 200


def test_pictures_wait_no_longer_than_their_request_may(slow_app, slow, predictor, photo):
    predictor.predict([photo])  # compiled
    app, results = slow_app(time_limit=2.0), []
    began = time.monotonic()
    thread = in_thread(results, post, app, photo, path="/cards")
    assert slow.started.wait(20)
    with all_decoders_taken(app):
        time.sleep(max(0, began + 1.2 - time.monotonic()))
        slow.go.set()
        thread.join()
    assert results == [503]
    assert time.monotonic() - began < 2.9


def test_a_model_that_fails_fails_only_those_who_asked(build, photo, monkeypatch):
    app = build()
    batcher = app.extensions["stn_jax"].answerer.batcher
    good = batcher._predictor

    class Broken:
        def answer(self, photos, files):
            raise RuntimeError("out of memory")

    monkeypatch.setattr(batcher, "_predictor", Broken())
    response = post(app, photo)
    assert response.status_code == 500
    assert "memory" not in response.text
    monkeypatch.setattr(batcher, "_predictor", good)
    assert post(app, photo).status_code == 200


def test_a_closed_batcher_takes_nothing_and_finishes_what_it_has(predictor, slow, photo):
    batcher = Batcher(predictor, capacity=4)
    batcher._predictor = slow
    futures = batcher.submit([predictor.load(photo)], ["a"])
    assert slow.started.wait(20)
    slow.go.set()
    batcher.close()
    assert futures[0].result(timeout=0).file == "a"
    assert not batcher.alive
    with pytest.raises(BusyError):
        batcher.submit([predictor.load(photo)], ["a"])


def test_readiness_ends_with_the_model(build):
    app = build()
    app.extensions["stn_jax"].answerer.close()
    assert app.test_client().get("/readyz").status_code == 503
    assert app.test_client().get("/healthz").status_code == 200


def test_a_stop_finishes_what_is_under_way(slow_app, slow, go_live, photo):
    live, results = go_live(slow_app()), []
    thread = in_thread(
        results, requests.post, f"{live.url}/api/v1/predict", files={"photo": photo}, timeout=20
    )
    assert slow.started.wait(20)
    live.stop.set()
    _wait_for(lambda: _refused(live.port))
    # Longer than the threads get once nothing is under way any more.
    live.thread.join(1.5)
    assert live.thread.is_alive()
    slow.go.set()
    live.thread.join(20)
    thread.join(20)
    assert results == [200]
    assert not live.thread.is_alive()


def test_readiness_ends_as_soon_as_a_stop_is_seen(live):
    with _kept(live.port) as kept, _half_an_upload(live.port):
        assert _readiness(kept) == (200, b"ready\n")
        live.stop.set()
        _wait_for(lambda: _refused(live.port))
        assert _readiness(kept) == (503, b"stopping\n")
    live.thread.join(20)
    assert not live.thread.is_alive()


def test_a_connection_is_busy_at_every_moment_until_its_answer_is_sent():
    class Answering(_Channel):
        def __init__(self):
            self.requests = ["a request"]

        @property
        def total_outbufs_len(self):
            """Another thread writes its answer just after this look, and is done with it."""
            self.requests = []
            return 0

    assert Answering().busy


def test_a_file_of_the_page_arrives_whole(live):
    """Files are handed on in another way than pages."""
    file = ROOT / "stn_jax" / "web" / "static" / "icon.svg"
    response = requests.get(f"http://127.0.0.1:{live.port}/static/icon.svg", timeout=20)
    assert (response.status_code, response.content) == (200, file.read_bytes())


def _kept(port):
    """A connection for many requests; a server that stops takes no new ones."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20))


def _readiness(kept):
    kept.request("GET", "/readyz")
    response = kept.getresponse()
    return response.status, response.read()


@contextlib.contextmanager
def _half_an_upload(port):
    """A request that is under way until it is broken off."""
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head + b"x" * 500)
        yield


def _refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def _wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.01)


def test_a_model_that_says_nan_is_not_served(predictor, monkeypatch):
    reading = predictor.read(np.zeros((1, *predictor.run.config.data.photo_size, 3), np.uint8))
    broken = dataclasses.replace(reading, raw=np.full_like(reading.raw, np.nan))
    monkeypatch.setattr(predictor, "read", lambda photos: broken)
    with pytest.raises(WorkdirError, match="diverged"):
        warm_up(predictor)


def test_a_port_that_is_taken():
    with bind("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: Address already in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("no-such-host.invalid", 0),
        ("two..dots", 0),
        ("a" * 64, 0),
        ("127.0.0.1", 70_000),
        ("127.0.0.1", -1),
    ],
)
def test_addresses_that_cannot_be(host, port):
    with pytest.raises(ConfigError, match=r"--host|--port"):
        bind(host, port)


@pytest.mark.parametrize("option", ["max_megabytes", "queue", "time_limit"])
def test_limits_must_be_positive(option):
    with pytest.raises(ConfigError, match=option.replace("_", "-")):
        Limits(**{option: Limits.__dataclass_fields__[option].type(0)})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queue", 100_000),
        ("max_megabytes", math.inf),
        ("time_limit", math.inf),
        ("time_limit", math.nan),
        ("upload_limit", math.inf),
    ],
)
def test_limits_must_be_finite_and_no_more_than_a_server_bears(option, value):
    with pytest.raises(ConfigError, match=f"{option.replace('_', '-')} .* at most"):
        Limits(**{option: value})


def test_as_many_photos_as_one_request_may_have_can_wait():
    Limits(max_photos=4, queue=4)
    with pytest.raises(ConfigError, match=r"max-photos 8 must be at most --limits\.queue 4"):
        Limits(queue=4)


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["serve.py", *map(str, arguments)])
    return cli.run(serve_program.main)


def test_bad_command_lines_say_what_to_do(monkeypatch, capsys, tmp_path, silent_workdir):
    free = ("--port", 0)
    (tmp_path / "photos" / "benign").mkdir(parents=True)
    for arguments, message in (
        (("--workdir", tmp_path), "holds no run"),
        (("--workdir", silent_workdir, "--host", "0.0.0.0"), "--token"),
        (("--workdir", silent_workdir, "--token", "short"), "at least 16"),
        (("--workdir", silent_workdir, "--examples", tmp_path / "none"), "no such folder"),
        (
            ("--workdir", silent_workdir, "--examples", tmp_path / "photos"),
            "photos: holds a folder, benign; put the photos themselves there",
        ),
    ):
        assert call(monkeypatch, *arguments, *free) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--limits.queue", 0), "--limits.queue 0 must be positive"),
        (("--limits.queue", 4), "--limits.max-photos 8 must be at most"),
        (("--limits.max-megabytes", "inf"), "--limits.max-megabytes inf must be"),
    ],
)
def test_limits_that_cannot_be(monkeypatch, capsys, tmp_path, options, message):
    with pytest.raises(SystemExit) as exit_status:
        call(monkeypatch, "--workdir", tmp_path, *options)
    assert exit_status.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_damaged_workdir(monkeypatch, capsys, tmp_path, silent_workdir):
    (tmp_path / "config.json").write_text("{}")
    assert call(monkeypatch, "--workdir", tmp_path, "--port", 0) == 2
    assert "damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_the_program_from_start_to_sigterm(workdir, photo):
    command = [sys.executable, "serve.py", "--workdir", str(workdir), "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+", line).group()
            # No waiting: the model is ready before the port is open.
            assert requests.get(f"{url}/readyz", timeout=20).text == "ready\n"
            answer = requests.post(f"{url}/api/v1/predict", files={"photo": photo}, timeout=20)
            assert answer.status_code == 200
            port = int(url.rpartition(":")[2])
            with _kept(port) as kept, _half_an_upload(port):
                assert _readiness(kept)[0] == 200
                process.send_signal(signal.SIGTERM)
                _wait_for(lambda: _refused(port))
                assert _readiness(kept) == (503, b"stopping\n")
            assert process.wait(20) == 0
            assert process.stdout.read() == "stopped\n"
            assert "note: SYNTHETIC: trained on generated photos" in process.stderr.read()
        finally:
            process.kill()

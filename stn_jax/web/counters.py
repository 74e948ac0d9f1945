"""What Prometheus may know: counts and times, labelled by nothing that a user sends."""

import time
from collections.abc import Callable

import flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stn_jax.evaluation.predictor import CHUNK

_REFUSALS = {
    400: "malformed",
    401: "token",
    403: "cross-site",
    404: "malformed",
    405: "malformed",
    413: "size",
    422: "photo",
    503: "busy",
}


class Counters:
    """The counters of one application."""

    def __init__(self):
        self._registry = CollectorRegistry()
        made = {"registry": self._registry, "namespace": "stn_jax"}
        self._requests = Counter("requests", "Requests.", ["endpoint", "status"], **made)
        self._seconds = Histogram(
            "request_seconds", "From the complete request to its answer.", ["endpoint"], **made
        )
        self._photos = Counter("photos", "Photos by what came of them.", ["outcome"], **made)
        self._refusals = Counter("refusals", "Requests refused, by reason.", ["reason"], **made)
        self._batch = Histogram(
            "batch_photos", "Photos a call of the model.", buckets=range(1, CHUNK + 1), **made
        )
        self._queue = Gauge("queue_photos", "Photos that wait for the model.", **made)
        for outcome in ("answered", "not_certain", "refused"):
            self._photos.labels(outcome)
        for reason in _REFUSALS.values():
            self._refusals.labels(reason)

    def watch(self, app: flask.Flask) -> None:
        """Counts every request of an application."""

        @app.before_request
        def start() -> None:
            flask.g.began = time.perf_counter()

        @app.after_request
        def count(response: flask.Response) -> flask.Response:
            endpoint = flask.request.endpoint or "none"
            self._requests.labels(endpoint, str(response.status_code)).inc()
            self._seconds.labels(endpoint).observe(time.perf_counter() - flask.g.began)
            if response.status_code in _REFUSALS:
                self._refusals.labels(_REFUSALS[response.status_code]).inc()
            return response

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Asks `waiting` for the length of the queue whenever the counters are read."""
        self._queue.set_function(waiting)

    def batch(self, photos: int) -> None:
        """Counts a call of the model."""
        self._batch.observe(photos)

    def photo(self, outcome: str) -> None:
        """Counts a photo that was `answered`, `not_certain` or `refused`."""
        self._photos.labels(outcome).inc()

    def text(self) -> bytes:
        """The counters in Prometheus's text format."""
        return generate_latest(self._registry)

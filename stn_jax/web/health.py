"""For whoever keeps the server running: is it alive, is it ready, what has it done."""

import flask
from prometheus_client import CONTENT_TYPE_LATEST

from stn_jax.web.site import current_site

health = flask.Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> flask.Response:
    """The process answers."""
    return flask.Response("ok\n", mimetype="text/plain")


@health.get("/readyz")
def readyz() -> flask.Response:
    """The model is loaded and compiled (before that no port is open), and not on its way out."""
    site = current_site()
    ready = site.answerer.batcher.alive and not site.stopping.is_set()
    text, status = ("ready\n", 200) if ready else ("stopping\n", 503)
    return flask.Response(text, status=status, mimetype="text/plain")


@health.get("/metrics")
def metrics() -> flask.Response:
    """Counters for Prometheus."""
    return flask.Response(current_site().counters.text(), content_type=CONTENT_TYPE_LATEST)

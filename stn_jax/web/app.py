"""The application: a model behind a page and an interface for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

import flask
import jinja2

from stn_jax.evaluation.metrics import commonest
from stn_jax.evaluation.predictor import Predictor
from stn_jax.evaluation.words import answers_always, between, isolated, learned, promised
from stn_jax.web.answerer import Answerer
from stn_jax.web.api import api
from stn_jax.web.counters import Counters
from stn_jax.web.errors import handle_errors
from stn_jax.web.health import health
from stn_jax.web.limits import Limits
from stn_jax.web.page import page
from stn_jax.web.pictures import thumbnail
from stn_jax.web.security import Access, protect
from stn_jax.web.site import KEY, Site
from stn_jax.web.uploads import Request, Upload
from stn_jax.web.words import chance, choices, share


def make_app(
    predictor: Predictor,
    *,
    evidence: Mapping[str, Any] | None = None,
    examples: Sequence[Upload] = (),
    access: Access | None = None,
    limits: Limits | None = None,
) -> flask.Flask:
    """Builds the application around a model; `close_app` ends it.

    Args:
      predictor: answers the photos.
      evidence: what the model's test says, see `read_evidence`.
      examples: photos to try.
      access: who may use it; everybody, by default.
      limits: how much they may ask.
    """
    access, limits = access or Access(), limits or Limits()
    app = flask.Flask("stn_jax.web")
    app.request_class = Request
    app.json.sort_keys = False
    app.config["MAX_CONTENT_LENGTH"] = limits.max_bytes
    app.config["MAX_FORM_PARTS"] = limits.max_photos + 16
    _prepare_templates(app.jinja_env)
    counters = Counters()
    answerer = Answerer(predictor, limits=limits, on_batch=counters.batch)
    counters.watch_queue(lambda: answerer.batcher.waiting)
    app.extensions[KEY] = Site(
        predictor=predictor,
        evidence=evidence,
        examples=list(examples),
        thumbnails=[thumbnail(example.content) for example in examples],
        access=access,
        limits=limits,
        counters=counters,
        answerer=answerer,
    )
    # In this order: what the checks refuse is counted, too.
    counters.watch(app)
    protect(app, access)
    handle_errors(app)
    for part in (page, api, health):
        app.register_blueprint(part)
    return app


def _prepare_templates(templates: jinja2.Environment) -> None:
    templates.trim_blocks = templates.lstrip_blocks = True
    templates.filters |= {
        "between": between,
        "chance": chance,
        "choices": choices,
        "commonest": commonest,
        "isolated": isolated,
        "learned": learned,
        "promised": promised,
        "share": share,
    }
    templates.tests["always"] = answers_always


def announce_stop(app: flask.Flask) -> None:
    """Says to whoever asks `/readyz` that the server has been told to stop."""
    app.extensions[KEY].stopping.set()


def close_app(app: flask.Flask) -> None:
    """Answers what is waiting, takes no more."""
    app.extensions[KEY].answerer.close()

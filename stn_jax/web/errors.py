"""Every failure as a sentence for whoever asked: HTML for people, JSON for programs and scripts."""

import logging
import traceback

import flask
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    RequestEntityTooLarge,
    ServiceUnavailable,
)

from stn_jax.web.answerer import TooSlowError
from stn_jax.web.batching import BusyError
from stn_jax.web.site import current_site
from stn_jax.web.uploads import FIELD

RETRY_AFTER = 5
"""Seconds after which a client that was sent away may come back."""

_log = logging.getLogger("stn_jax.web")


def handle_errors(app: flask.Flask) -> None:
    """Answers every exception of an application."""

    @app.errorhandler(BusyError)
    def busy(error: BusyError) -> flask.Response:
        return say(ServiceUnavailable("Too many photos are waiting. Try again in a moment."))

    @app.errorhandler(TooSlowError)
    def too_slow(error: TooSlowError) -> flask.Response:
        return say(ServiceUnavailable("That took too long. Try again in a moment."))

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> flask.Response:
        limits = current_site().limits
        if (flask.request.content_length or 0) > limits.max_bytes:
            return say(RequestEntityTooLarge(limits.too_large))
        # Werkzeug says the same of too many fields, and of too long a field that is not a file.
        how = "" if _reads_pages() else f", each as a file (curl -F {FIELD}=@a.jpg)"
        return say(BadRequest(f"Send at most {limits.max_photos} photos at once{how}."))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> flask.Response:
        return say(error)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> flask.Response:
        # The message may hold a file's name, which is somebody's; where it happened does not.
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error("%s while answering %s\n%s", type(error).__name__, flask.request.endpoint, where)
        return say(InternalServerError("Something broke here. It has been logged, without photo."))


def say(error: HTTPException) -> flask.Response:
    """The response to a failure, in the form that the client reads."""
    code, text = error.code or 500, error.description or ""
    if _reads_pages():
        response = flask.make_response(_page(code, text), code)
    else:
        response = flask.make_response({"error": text}, code)
    if code == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    if code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if code == 405 and error.get_response().headers.get("Allow"):
        response.headers["Allow"] = error.get_response().headers["Allow"]
    return response


def _reads_pages() -> bool:
    """Whether a browser asked for a page, or for something that is nowhere."""
    request = flask.request
    if request.endpoint is None:
        for_people = not request.path.startswith("/api/")
    else:
        for_people = request.endpoint.startswith("page.")
    kinds = ["application/json", "text/html"]
    return for_people and request.accept_mimetypes.best_match(kinds) == "text/html"


def _page(code: int, text: str) -> str:
    if code == 401:
        return flask.render_template("sign_in.html", wrong=False)
    return flask.render_template("failure.html", message=text)

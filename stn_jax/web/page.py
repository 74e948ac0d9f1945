"""The page for people."""

import flask
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from stn_jax.data.photo import HEIC_SUPPORTED
from stn_jax.evaluation.facts import FIXED_CROPS
from stn_jax.web.answerer import Answer, Refusal
from stn_jax.web.pictures import make_pictures
from stn_jax.web.site import Site, current_site, status_of
from stn_jax.web.words import certainty_in_words, reason_in_words, unnamed

page = flask.Blueprint("page", __name__)


@page.get("/")
def show() -> str:
    """The page, without any photo yet."""
    return _render([])


@page.post("/")
def answer() -> tuple[str, int]:
    """The whole page with answers, for a browser without JavaScript."""
    with current_site().answerer.admitted():
        results = _results()
        return _render(_cards(results)), status_of(results)


@page.post("/cards")
def cards() -> tuple[str, int]:
    """The answers alone, for the page's own script to put in."""
    with current_site().answerer.admitted():
        results = _results()
        return flask.render_template("cards.html", cards=_cards(results)), status_of(results)


@page.get("/examples/<int:number>.jpg")
def example(number: int) -> flask.Response:
    """A small picture of an example."""
    thumbnails = current_site().thumbnails
    if number >= len(thumbnails):
        raise NotFound("There is no such example.")
    return flask.Response(thumbnails[number], mimetype="image/jpeg")


@page.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> WerkzeugResponse | tuple[str, int] | str:
    """Takes the token, and gives a cookie that ends with the browser."""
    access = current_site().access
    if access.token is None:
        return flask.redirect(flask.url_for("page.show"), 303)
    if flask.request.method == "GET":
        return flask.render_template("sign_in.html", wrong=False)
    if not access.is_token(flask.request.form.get("token", "").strip()):
        return flask.render_template("sign_in.html", wrong=True), 401
    response = flask.redirect(flask.url_for("page.show"), 303)
    response.set_cookie(
        access.cookie, access.session, httponly=True, samesite="Strict", secure=access.secure
    )
    return response


@page.post("/sign-out")
def sign_out() -> WerkzeugResponse:
    """Forgets the cookie."""
    response = flask.redirect(flask.url_for("page.sign_in"), 303)
    response.delete_cookie(current_site().access.cookie, httponly=True, samesite="Strict")
    return response


def _results() -> list[Answer | Refusal]:
    site = current_site()
    number = flask.request.args.get("example")
    if number is None:
        return site.answer_upload()
    # Python refuses to read numbers of thousands of digits.
    if not number.isdecimal() or len(number) > 9 or int(number) >= len(site.examples):
        raise BadRequest("There is no such example.")
    return site.answer_example(int(number))


def _cards(results: list[Answer | Refusal]) -> list[dict]:
    return [_card(current_site(), result) for result in results]


def _card(site: Site, result: Answer | Refusal) -> dict:
    if isinstance(result, Refusal):
        return {"file": result.name, "refused": reason_in_words(result.reason)}
    prediction = result.prediction
    with site.answerer.decoding(result.deadline):
        pictures = make_pictures(result)
    return {
        "file": prediction.file,
        "prediction": prediction,
        "pictures": pictures,
        "meaning": certainty_in_words(site.evidence, prediction.confidence),
        "synthetic": site.predictor.run.synthetic,
    }


def _render(cards: list[dict]) -> str:
    site = current_site()
    return flask.render_template(
        "page.html",
        cards=cards,
        classes=site.predictor.run.classes,
        fixed_crop=FIXED_CROPS.get(site.predictor.run.config.model.transform),
        synthetic=site.predictor.run.synthetic,
        learned_before=unnamed(site.predictor.run.learned_before),
        answering=site.predictor.answering,
        evidence=site.evidence,
        examples=site.examples,
        heic=HEIC_SUPPORTED,
        limits=site.limits,
        signed_in=site.access.token is not None,
    )

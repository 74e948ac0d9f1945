"""The same answers for programs, as JSON."""

from typing import Any

import flask

from stn_jax.version import __version__
from stn_jax.web.answerer import Answer, Refusal
from stn_jax.web.openapi import describe
from stn_jax.web.site import current_site, status_of
from stn_jax.web.words import note_in_words, unnamed

api = flask.Blueprint("api", __name__, url_prefix="/api/v1")


@api.post("/predict")
def predict() -> tuple[dict[str, Any], int]:
    """Answers photos: the objects that `predict.py` prints, and the photos that were refused."""
    site = current_site()
    with site.answerer.admitted():
        results = site.answer_upload()
    refused = [{"file": r.name, "reason": r.reason} for r in results if isinstance(r, Refusal)]
    body = {
        "predictions": [r.prediction.to_json() for r in results if isinstance(r, Answer)],
        "refused": refused,
        "model": site.predictor.fingerprint,
        "synthetic": site.predictor.run.synthetic,
    }
    return body, status_of(results)


@api.get("/model")
def model() -> dict[str, Any]:
    """What answers here, and how it was tested."""
    site = current_site()
    predictor, run = site.predictor, site.predictor.run
    return {
        "classes": list(run.classes),
        "threshold": predictor.answering.threshold,
        "temperature": predictor.answering.temperature,
        "note": note_in_words(predictor.answering.note),
        "synthetic": run.synthetic,
        "learned_before": unnamed(run.learned_before),
        "photo_size": list(run.config.data.photo_size),
        "crop_size": list(run.config.model.crop_size),
        "step": predictor.step,
        "fingerprints": {"model": predictor.fingerprint, "data": run.data_fingerprint},
        "version": __version__,
        "limits": {
            "max_megabytes": site.limits.max_megabytes,
            "max_photos": site.limits.max_photos,
            "max_megapixels": run.config.data.max_megapixels,
        },
        "metrics": site.evidence,
    }


@api.get("/openapi.json")
def openapi() -> dict[str, Any]:
    """This interface, in OpenAPI 3.1."""
    site = current_site()
    return describe(
        site.predictor.run.classes, limits=site.limits, token=site.access.token is not None
    )

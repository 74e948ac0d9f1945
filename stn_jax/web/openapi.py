"""The interface for programs, in OpenAPI 3.1."""

from collections.abc import Sequence
from typing import Any

from stn_jax.version import __version__
from stn_jax.web.limits import Limits
from stn_jax.web.uploads import FIELD

_NUMBER = {"type": "number"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT = {"type": "string"}


def describe(classes: Sequence[str], *, limits: Limits, token: bool) -> dict[str, Any]:
    """The document.

    Args:
      classes: that the model tells apart.
      limits: of a request.
      token: whether callers must show one.
    """
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "stn_jax",
            "version": __version__,
            "description": "Answers photos. For research only, not for clinical decisions.",
        },
        "paths": {
            "/api/v1/predict": {"post": _predict(limits)},
            "/api/v1/model": {"get": _get("The model and its test", _ref("Model"))},
            "/api/v1/openapi.json": {"get": _get("This document", {"type": "object"})},
            "/healthz": {"get": _plain("The process answers", {}, security=False)},
            "/readyz": {
                "get": _plain("The model is ready", _errors(503, kind="text"), security=False)
            },
            "/metrics": {"get": _plain("Counters for Prometheus", {})},
        },
        "components": {"schemas": _schemas(classes)},
    }
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _predict(limits: Limits) -> dict[str, Any]:
    return {
        "summary": "Answer photos",
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": [FIELD],
                        "properties": {
                            FIELD: {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": limits.max_photos,
                                "items": {
                                    "type": "string",
                                    "contentMediaType": "application/octet-stream",
                                },
                                "description": "JPEG, PNG, WebP, TIFF, BMP or GIF files; "
                                f"together at most {limits.max_megabytes:g} MB",
                            }
                        },
                    }
                }
            },
        },
        "responses": {
            "200": _json("At least one photo was answered", _ref("Answers")),
            "422": _json("No photo could be used", _ref("Answers")),
            **_errors(400, 401, 403, 413, 431, 503),
        },
    }


def _schemas(classes: Sequence[str]) -> dict[str, Any]:
    numbers = {"type": "array", "items": _NUMBER}
    threshold = {
        "type": ["number", "null"],
        "description": "Confidence needed for an answer; null: the model never answers",
    }
    return {
        "Prediction": _object(
            file=_TEXT,
            label={
                "enum": [*classes, None],
                "description": "null where the model is not certain enough to answer",
            },
            probabilities=_object(**dict.fromkeys(classes, _SHARE)),
            confidence=_SHARE,
            threshold=threshold,
            theta={"type": "array", "description": "The map behind the crop"},
            box={
                "type": ["array", "null"],
                "items": {**numbers, "minItems": 2, "maxItems": 2},
                "minItems": 4,
                "maxItems": 4,
                "description": "Corners (x, y) of the area of interest in pixels of the upright "
                "photo, clockwise from the crop's top left; null where it has no bounds",
            },
        ),
        "Answers": _object(
            predictions={"type": "array", "items": _ref("Prediction")},
            refused={"type": "array", "items": _object(file=_TEXT, reason=_TEXT)},
            model={**_TEXT, "description": "Fingerprint of the model: weights and options"},
            synthetic={"type": "boolean", "description": "The model knows generated photos only"},
        ),
        "Model": _object(
            classes={"type": "array", "items": _TEXT},
            threshold=threshold,
            temperature=_NUMBER,
            note={**_TEXT, "description": "Why there is no threshold"},
            synthetic={"type": "boolean"},
            learned_before={
                "type": "array",
                "items": _TEXT,
                "description": "What its first weights had learned from, if they were not drawn: "
                "SYNTHETIC, which are generated, or other photos",
            },
            photo_size=numbers,
            crop_size=numbers,
            step={"type": "integer"},
            fingerprints=_object(model=_TEXT, data=_TEXT),
            version=_TEXT,
            limits=_object(max_megabytes=_NUMBER, max_photos=_NUMBER, max_megapixels=_NUMBER),
            metrics={"type": ["object", "null"], "description": "From the evaluation"},
        ),
        "Error": _object(error=_TEXT),
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _get(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": _json(text, schema), **_errors(400, 401, 431)}}


def _plain(text: str, others: dict[str, Any], *, security: bool = True) -> dict[str, Any]:
    content = {"text/plain": {"schema": _TEXT}}
    responses = {"200": {"description": text, "content": content}, **others}
    responses |= _errors(400, 401, 431) if security else _errors(400, 431)
    return {"summary": text, "responses": responses, **({} if security else {"security": []})}


_MEANINGS = {
    400: "Malformed",
    401: "No token, or a wrong one",
    403: "From another site's page",
    413: "Too large",
    431: "Headers too large",
    503: "Busy: try again after Retry-After seconds",
}


def _errors(*codes: int, kind: str = "json") -> dict[str, Any]:
    if kind == "text":
        content = {"text/plain": {"schema": _TEXT}}
        return {str(c): {"description": _MEANINGS[c], "content": content} for c in codes}
    return {str(c): _json(_MEANINGS[c], _ref("Error")) for c in codes}

"""What the views of one application share."""

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

import flask

from stn_jax.evaluation.predictor import Predictor
from stn_jax.web.answerer import Answer, Answerer, Refusal
from stn_jax.web.counters import Counters
from stn_jax.web.limits import Limits
from stn_jax.web.security import Access
from stn_jax.web.uploads import Upload, read_uploads

KEY = "stn_jax"


@dataclasses.dataclass(frozen=True)
class Site:
    """A model and everything that serves it.

    Attributes:
      evidence: what the model's test says, see `evidence.read_evidence`.
      examples: photos to try.
      thumbnails: of these, JPEG; made beforehand, since whoever waits to decode holds a thread.
      stopping: set from the moment on at which the server has been told to stop.
    """

    predictor: Predictor
    evidence: Mapping[str, Any] | None
    examples: list[Upload]
    thumbnails: list[bytes]
    access: Access
    limits: Limits
    counters: Counters
    answerer: Answerer
    stopping: threading.Event = dataclasses.field(default_factory=threading.Event)

    def answer_upload(self) -> list[Answer | Refusal]:
        """Answers the photos of the current request."""
        most = self.limits.max_photos
        return self._count(self.answerer.answer(lambda: read_uploads(flask.request, most=most)))

    def answer_example(self, number: int) -> list[Answer | Refusal]:
        """Answers one of the examples."""
        return self._count(self.answerer.answer(lambda: [self.examples[number]]))

    def _count(self, results: list[Answer | Refusal]) -> list[Answer | Refusal]:
        for result in results:
            if isinstance(result, Refusal):
                self.counters.photo("refused")
            else:
                certain = result.prediction.label is not None
                self.counters.photo("answered" if certain else "not_certain")
        return results


def current_site() -> Site:
    """The site of the application that handles the current request."""
    return flask.current_app.extensions[KEY]


def status_of(results: list[Answer | Refusal]) -> int:
    """422 where no photo could be used."""
    return 200 if any(isinstance(result, Answer) for result in results) else 422

"""From uploads to answers, with a bound on everything that is going on at once."""

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager

from stn_jax.data.photo import Photo, PhotoError
from stn_jax.evaluation.predictor import Prediction, Predictor
from stn_jax.web.batching import Batcher, BusyError
from stn_jax.web.limits import Limits
from stn_jax.web.uploads import Upload


class TooSlowError(Exception):
    """The time limit of a request has passed."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A photo that was answered (which may be: not certain).

    Attributes:
      deadline: until when, by `time.monotonic`, its request may wait for what remains to be done.
    """

    prediction: Prediction
    photo: Photo
    upload: Upload
    deadline: float


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A photo that cannot be used, and why."""

    name: str
    reason: str


class Answerer:
    """Answers requests.

    At most `limits.queue` requests are under way, so a thread is always left to send the next
    one away; at most as many as there are processors decode photos, because decoding is what takes
    memory.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        limits: Limits,
        on_batch: Callable[[int], None] = lambda count: None,
    ):
        self.limits = limits
        self.batcher = Batcher(predictor, capacity=limits.queue, on_batch=on_batch)
        self._predictor = predictor
        self._house = threading.BoundedSemaphore(limits.queue)
        self._decoders = threading.BoundedSemaphore(os.cpu_count() or 1)

    def admitted(self) -> AbstractContextManager[None]:
        """Held by every request for answers, from before its photos are read to its end.

        Raises:
          BusyError: as many as there may be are under way.
        """
        return _held(self._house, timeout=0.0, otherwise=BusyError)

    def answer(self, receive: Callable[[], list[Upload]]) -> list[Answer | Refusal]:
        """Answers what `receive` returns, in its order.

        Raises:
          BusyError: too many photos are waiting.
          TooSlowError: the answer was not there in time.
        """
        deadline = time.monotonic() + self.limits.time_limit
        with self.decoding(deadline):
            uploads = receive()
            loaded = [self._load(upload) for upload in uploads]
        usable = [i for i, photo in enumerate(loaded) if isinstance(photo, Photo)]
        futures = self.batcher.submit(
            [loaded[i] for i in usable], [uploads[i].name for i in usable]
        )
        predictions = iter(_wait(futures, deadline))
        return [
            Answer(next(predictions), photo, upload, deadline)
            if isinstance(photo, Photo)
            else photo
            for photo, upload in zip(loaded, uploads, strict=True)
        ]

    def decoding(self, deadline: float) -> AbstractContextManager[None]:
        """Held by whoever decodes photos.

        Args:
          deadline: of the request's answers.

        Raises:
          TooSlowError: when others decoded until then.
        """
        return _held(self._decoders, timeout=_left(deadline), otherwise=TooSlowError)

    def close(self) -> None:
        """Finishes what is going on, and takes no more."""
        self.batcher.close()

    def _load(self, upload: Upload) -> Photo | Refusal:
        try:
            return self._predictor.load(upload.content, name=upload.name)
        except PhotoError as error:
            return Refusal(upload.name, error.reason)


@contextlib.contextmanager
def _held(
    semaphore: threading.Semaphore, *, timeout: float, otherwise: type[Exception]
) -> Iterator[None]:
    if not semaphore.acquire(timeout=timeout):
        raise otherwise
    try:
        yield
    finally:
        semaphore.release()


def _wait(futures: list[Future], deadline: float) -> list[Prediction]:
    try:
        return [future.result(timeout=_left(deadline)) for future in futures]
    except TimeoutError:
        raise TooSlowError from None
    finally:
        for future in futures:
            future.cancel()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

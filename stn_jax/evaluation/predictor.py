"""From a workdir to predictions: the only way, for evaluation, predict.py and the page alike."""

import dataclasses
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree, Shaped, UInt8

from stn_jax.data.photo import Photo, load_photo, photo_options, to_image
from stn_jax.data.pipeline import Split
from stn_jax.evaluation import geometry
from stn_jax.evaluation.calibration import apply_temperature, softmax
from stn_jax.evaluation.written import OTHER_MODEL, evaluate_again, read_written
from stn_jax.models import STNClassifier, make_model
from stn_jax.sampling import theta_to_box
from stn_jax.training.checkpoint import Weights, restore_best
from stn_jax.training.workdir import Run, read_run

CHUNK = 8
"""Photos in every call of the compiled model, filled up where there are fewer. One shape means one
program, so how many photos are asked for together can never change an answer."""

_OF_PHOTOS = ("photo_size", "fit", "rotate_to_fit")
"""Options of the data that say how a photo is brought to size."""

PhotoSource = str | os.PathLike | bytes | UInt8[np.ndarray, "height width channel"]
"""A path, the content of a file, or pixels."""


@dataclasses.dataclass(frozen=True)
class Answering:
    """How probabilities become answers; decided by an evaluation, on validation photos.

    Attributes:
      temperature: divides the logits.
      threshold: answer from this confidence on; None: never.
      note: why there is no threshold, for a reader; "" where there is one.
    """

    temperature: float = 1.0
    threshold: float | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the network makes of some photos, before calibration.

    Attributes:
      raw: probabilities.
      theta: the maps, one a photo; the shape depends on the transform.
      area: corners (x, y) of each area of interest, in pixels of the photo as the network sees it.
      crops: what the classifier saw, 0 to 255.
    """

    raw: Float[np.ndarray, "photo label"]
    theta: Float[np.ndarray, "photo *entries"]
    area: Float[np.ndarray, "photo 4 2"]
    crops: UInt8[np.ndarray, "photo crop_height crop_width channel"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer to one photo.

    Attributes:
      file: what the photo is called.
      label: the class, or None when the network is not certain enough to answer.
      probabilities: calibrated, by class.
      confidence: the largest of them.
      threshold: confidence needed for an answer; None when none has been validated.
      theta: the map behind the crop.
      box: corners (x, y) of the area of interest in pixels of the upright photo of the file,
        clockwise from the crop's top left; infinite where a projective map reaches the horizon.
      crop: the area of interest as the classifier saw it.
    """

    file: str
    label: str | None
    probabilities: dict[str, float]
    confidence: float
    threshold: float | None
    theta: Float[np.ndarray, "*entries"]
    box: Float[np.ndarray, "4 2"]
    crop: UInt8[np.ndarray, "crop_height crop_width channel"]

    def to_json(self) -> dict[str, Any]:
        """Everything but the pixels, as JSON has it; the box is None where it has no bounds."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["crop"]
        box = self.box.tolist() if geometry.is_bounded(self.box) else None
        return fields | {"theta": self.theta.tolist(), "box": box}


class Predictor:
    """A trained model, ready to answer.

    Attributes:
      run: what the model was trained with.
      step: the step its weights are from.
      by_validation: whether they were chosen by it; otherwise they are the newest.
      answering: how probabilities become answers.
      fingerprint: of all that decides what is read from a photo, hexadecimal: the weights, the
        options of the model, and how photos are brought to size.
    """

    def __init__(self, run: Run, weights: Weights, *, answering: Answering):
        self.run = run
        self.step = weights.step
        self.by_validation = weights.by_validation
        self.answering = answering
        self.fingerprint = _fingerprint(weights.variables, run)
        self._variables = weights.variables
        self._model = make_model(
            run.config.model,
            num_classes=len(run.classes),
            mean_color=run.mean_color,
            precision=run.config.train.precision,
        )
        self._apply = jax.jit(self._forward)

    @property
    def model(self) -> STNClassifier:
        """The network."""
        return self._model

    @property
    def notes(self) -> list[str]:
        """What an operator must know before reading answers, a line each; mostly nothing."""
        synthetic = "SYNTHETIC: trained on generated photos, says nothing about photos of skin"
        notes = [synthetic] if self.run.synthetic else []
        return notes + [f"no answers: {self.answering.note}"] * bool(self.answering.note)

    @property
    def variables(self) -> PyTree:
        """What `model.apply` takes."""
        return self._variables

    def predict(
        self, photos: Iterable[PhotoSource], *, names: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Answers photos; how many are asked for together never changes an answer.

        Args:
          photos: paths, contents of files, or uint8 pixels, RGB [height, width, 3] or grey
            [height, width, 1], of any size.
          names: what to call them; by default the paths.

        Raises:
          PhotoError: when one cannot be used; the message says which and why.
        """
        photos = list(photos)
        files = names or [_name(photo, i) for i, photo in enumerate(photos)]
        loaded = [self.load(photo, name=name) for photo, name in zip(photos, files, strict=True)]
        return [
            prediction
            for start in range(0, len(loaded), CHUNK)
            for prediction in self.answer(
                loaded[start : start + CHUNK], files[start : start + CHUNK]
            )
        ]

    def load(self, photo: PhotoSource, *, name: str | None = None) -> Photo:
        """Brings one photo to the size and colours that the network reads.

        Raises:
          PhotoError: when it cannot be used.
        """
        options = photo_options(self.run.config.data)
        if isinstance(photo, np.ndarray):
            photo = _as_file(photo)
            options["max_file_bytes"] = math.inf
        return load_photo(photo, name=name, fill_color=self.run.mean_color, **options)

    def answer(self, photos: Sequence[Photo], files: Sequence[str]) -> list[Prediction]:
        """Answers photos that `load` brought to size."""
        if not photos:
            return []
        reading = self.read(np.stack([photo.pixels for photo in photos]))
        return [
            self._prediction(reading, i, photo, file)
            for i, (photo, file) in enumerate(zip(photos, files, strict=True))
        ]

    def read(
        self,
        photos: UInt8[np.ndarray, "photo height width channel"],
        *,
        theta: Float[np.ndarray, "2 3"] | None = None,
    ) -> Reading:
        """Runs the network.

        Args:
          photos: at the size of the configuration.
          theta: look there instead of where the localization net would.
        """
        parts = [
            self._read_chunk(photos[start : start + CHUNK], theta)
            for start in range(0, len(photos), CHUNK)
        ]
        return Reading(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in dataclasses.fields(Reading)
            )
        )

    def _read_chunk(self, photos: np.ndarray, theta: np.ndarray | None) -> Reading:
        count = len(photos)
        missing = CHUNK - count
        photos = np.pad(photos, [(0, missing), (0, 0), (0, 0), (0, 0)])
        if theta is not None:
            theta = np.broadcast_to(np.float32(theta), (CHUNK, *theta.shape))
        logits, theta, area, crops = jax.device_get(self._apply(self._variables, photos, theta))
        return Reading(
            raw=softmax(logits[:count]),
            theta=theta[:count],
            area=area[:count],
            crops=np.rint(np.clip(crops[:count], 0, 255)).astype(np.uint8),
        )

    def _forward(
        self, variables: PyTree, photos: jax.Array, theta: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        logits, theta, crops = self._model.apply(variables, photos, train=False, theta=theta)
        family = self._model.transformer.family
        area = theta_to_box(theta, photos.shape[1:3], transform=family)
        return logits, theta, area, crops

    def _prediction(self, reading: Reading, i: int, photo: Photo, file: str) -> Prediction:
        raw = reading.raw[i : i + 1]
        probabilities = apply_temperature(raw, self.answering.temperature)[0]
        best = int(raw.argmax())
        confidence, threshold = float(probabilities[best]), self.answering.threshold
        certain = threshold is not None and confidence >= threshold
        return Prediction(
            file=file,
            label=self.run.classes[best] if certain else None,
            probabilities=dict(zip(self.run.classes, probabilities.tolist(), strict=True)),
            confidence=confidence,
            threshold=threshold,
            theta=reading.theta[i],
            box=photo.to_original(reading.area[i]),
            crop=reading.crops[i],
        )


def load_predictor(workdir: str | Path) -> Predictor:
    """Loads the best weights of a run, and the temperature and threshold of its evaluation.

    Raises:
      WorkdirError: when there is no run, no checkpoint, or a damaged file.
    """
    run = read_run(workdir)
    predictor = Predictor(run, restore_best(workdir), answering=Answering())
    predictor.answering = read_answering(Path(workdir), predictor.fingerprint)
    return predictor


def read_answering(workdir: Path, fingerprint: str) -> Answering:
    """What the evaluation of this very model decided; never answer where there was none.

    Raises:
      WorkdirError: when the evaluation's file is damaged.
    """
    hint = evaluate_again(workdir)

    def take(metrics: Mapping[str, Any]) -> Answering:
        if metrics["model"]["fingerprint"] != fingerprint:
            return Answering(note=f"the evaluation is of {OTHER_MODEL}; evaluate again: {hint}")
        selective = metrics["selective"]
        threshold = selective["threshold"]
        return Answering(
            # Without validation photos none was fitted.
            temperature=metrics["temperature"] or 1.0,
            threshold=threshold,
            # With a threshold, the reason is why the rate of its answers is undefined.
            note=selective.get("reason", "") if threshold is None else "",
        )

    never = Answering(note=f"not evaluated yet, so no threshold is known: {hint}")
    return read_written(workdir, take) or never


def chunks(split: Split) -> Iterator[list[dict[str, Any]]]:
    """Items of a prepared split, as many at a time as the predictor takes in one call."""
    for start in range(0, len(split), CHUNK):
        yield [split[i] for i in range(start, min(start + CHUNK, len(split)))]


def _fingerprint(variables: PyTree, run: Run) -> str:
    config = run.config
    options = {name: getattr(config.data, name) for name in _OF_PHOTOS}
    # Whoever edits a run's configuration makes another model of the same weights.
    options |= dataclasses.asdict(config.model) | {"precision": config.train.precision}
    digest = hashlib.sha256(json.dumps([options, run.mean_color], sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype}".encode())
        digest.update(array)
    return digest.hexdigest()


def _name(photo: PhotoSource, index: int) -> str:
    return f"photo {index}" if isinstance(photo, bytes | np.ndarray) else os.fspath(photo)


def _as_file(pixels: Shaped[np.ndarray, "height width channel"]) -> bytes:
    """Pixels as an uncompressed file, so that they take the same way as every other photo."""
    content = io.BytesIO()
    to_image(pixels).save(content, format="BMP")
    return content.getvalue()

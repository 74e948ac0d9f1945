"""Photos named on a command line to answers."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from stn_jax.data.folder import find_photos
from stn_jax.data.photo import Photo, PhotoError, to_image
from stn_jax.evaluation.predictor import CHUNK, Prediction, Predictor

_LONGEST_STEM = 200
"""Bytes of a photo's name in its crop's name: file systems take 255 in all."""


def list_files(names: Sequence[str], stdin: Iterable[str]) -> Iterator[str]:
    """Files behind names: a folder stands for the photos in it, `-` for the names on `stdin`.

    Raises:
      DataError: when a folder may not be read.
    """
    for name in names:
        if name == "-":
            yield from list_files([line.rstrip("\r\n") for line in stdin if line.strip()], ())
        # Unlike Path.is_dir, no for a name that no file can have: its refusal comes later.
        elif os.path.isdir(name):
            yield from find_photos(name)
        else:
            yield name


def answer_files(predictor: Predictor, files: Iterable[str]) -> Iterator[Prediction | PhotoError]:
    """Answers files in their order; those that cannot be used come back as their refusal."""
    files = iter(files)
    while batch := list(itertools.islice(files, CHUNK)):
        loaded = [_load(predictor, file) for file in batch]
        usable = [i for i, photo in enumerate(loaded) if isinstance(photo, Photo)]
        answers = predictor.answer([loaded[i] for i in usable], [batch[i] for i in usable])
        by_place = dict(zip(usable, answers, strict=True))
        for i, photo in enumerate(loaded):
            yield by_place.get(i, photo)


def save_crop(prediction: Prediction, folder: Path, number: int) -> Path:
    """Writes the area of interest as the classifier saw it; the number keeps names apart."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = os.fsencode(Path(prediction.file).stem)[:_LONGEST_STEM].decode(errors="ignore")
    path = folder / f"{number:05d}-{stem}.png"
    to_image(prediction.crop).save(path)
    return path


def _load(predictor: Predictor, file: str) -> Photo | PhotoError:
    try:
        return predictor.load(file, name=file)
    except PhotoError as error:
        return error

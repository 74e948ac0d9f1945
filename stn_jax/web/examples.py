"""Photos to try the page with."""

from pathlib import Path

from stn_jax.data.errors import DataError, printable
from stn_jax.data.generators import Generator
from stn_jax.data.photo import PhotoError
from stn_jax.evaluation.predictor import Predictor
from stn_jax.web.pictures import encode
from stn_jax.web.uploads import Upload, clean_name

COUNT = 4
"""Of generated examples."""


def make_examples(predictor: Predictor, folder: Path | None = None) -> list[Upload]:
    """The photos in `folder`; without one, generated photos for a model of generated photos.

    Generated photos say nothing to a model of real ones, so it then has no examples.

    Raises:
      DataError: when the folder does not exist, or holds another folder, or a file that is not a
        photo.
    """
    if folder is not None:
        return _read(predictor, folder)
    if not predictor.run.synthetic:
        return []
    data = predictor.run.config.data
    # Another seed than the training's: photos that no split has.
    made = data.synthetic
    generate = Generator(kind=made.kind, size=data.photo_size, seed=made.seed + 1)
    return [Upload(f"example {i + 1}.png", encode(generate(i).photo, "PNG")) for i in range(COUNT)]


def _read(predictor: Predictor, folder: Path) -> list[Upload]:
    if not folder.is_dir():
        raise DataError(f"--examples {folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inner = next((path.name for path in paths if path.is_dir()), None)
    if inner is not None:
        raise DataError(
            f"--examples {folder}: holds a folder, {printable(inner)}; put the photos themselves "
            "there, all in one folder"
        )
    uploads = []
    for path in paths:
        try:
            content = path.read_bytes()
            predictor.load(content, name=str(path))
        except (OSError, PhotoError) as error:
            raise DataError(f"--examples: {error}") from error
        uploads.append(Upload(clean_name(path.name), content))
    return uploads

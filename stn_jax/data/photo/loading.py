"""One photo from a file or bytes: at the wanted size, or refused by name."""

import dataclasses
import os
import stat
from pathlib import Path

from stn_jax.data.photo.colors import to_grey
from stn_jax.data.photo.decoding import decode
from stn_jax.data.photo.placing import Fit, Photo, pad, padding
from stn_jax.data.photo.refusals import (
    PhotoError,
    PhotoMemoryError,
    PhotoUnreadableError,
    reason_of,
)


def load_photo(
    source: str | os.PathLike | bytes,
    *,
    size: tuple[int, int],
    name: str | None = None,
    fit: Fit = "pad",
    rotate_to_fit: bool = False,
    fill_color: tuple[float, ...] = (127.5, 127.5, 127.5),
    max_megapixels: float = 64.0,
    max_file_bytes: float = 64e6,
) -> Photo:
    """Reads one photo: upright, RGB or grey, 8 bits, at `size`.

    Args:
      source: a path, or the content of a file.
      size: height and width of the result, in pixels.
      name: what to call the photo in errors; the path where not given.
      fit: keep the aspect and pad with `fill_color`, keep it and cut what is over, or distort.
      rotate_to_fit: turn a portrait photo by a quarter when `size` is landscape, and the reverse.
      fill_color: RGB, 0..255, rounded to whole levels; the data set's mean colour. With a grey
        one, of a single number, the photo becomes grey, too.
      max_megapixels: refuse photos of more pixels, before decoding any.
      max_file_bytes: refuse larger files, before reading them.

    Raises:
      PhotoError: naming the file and why it cannot be used.
    """
    photo = load_unpadded(
        source,
        size=size,
        name=name,
        fit=fit,
        rotate_to_fit=rotate_to_fit,
        max_megapixels=max_megapixels,
        max_file_bytes=max_file_bytes,
    )
    if len(fill_color) == 1:
        photo = dataclasses.replace(photo, pixels=to_grey(photo.pixels))
    if photo.pixels.shape[:2] == tuple(size):
        return photo
    top, left = padding(photo.pixels.shape[:2], size)
    return dataclasses.replace(
        photo,
        pixels=pad(photo.pixels, size, fill_color),
        offset=(photo.offset[0] + left, photo.offset[1] + top),
    )


def load_unpadded(
    source: str | os.PathLike | bytes,
    *,
    size: tuple[int, int],
    name: str | None = None,
    fit: Fit = "pad",
    rotate_to_fit: bool = False,
    max_megapixels: float = 64.0,
    max_file_bytes: float = 64e6,
) -> Photo:
    """Reads one photo as `load_photo` does, but without the padding of `fit=pad`.

    The prepared data set stores this and pads when a record is read, because the fill colour is
    the mean of the training photos, known only after all of them have been read.

    Raises:
      PhotoError: naming the file and why it cannot be used.
    """
    name = name if name is not None else _name_of(source)
    content = read_bytes(source, name=name, max_file_bytes=max_file_bytes)
    try:
        return decode(content, name, size, fit, rotate_to_fit, max_megapixels)
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoMemoryError(name, "not enough memory to read it") from error
    # A decoder can fail in any way on a hostile or broken file; whatever it was, it concerns
    # this photo only and must not end an import or a request.
    except Exception as error:
        raise PhotoError(name, reason_of(error, content)) from error


def read_bytes(source: str | os.PathLike | bytes, *, name: str, max_file_bytes: float) -> bytes:
    """Reads a file whole, after looking at its size.

    Raises:
      PhotoError: for an empty, unreadable or too large file.
    """
    try:
        length = len(source) if isinstance(source, bytes) else _length_of(source, name)
        if length > max_file_bytes:
            raise PhotoError(
                name,
                f"{length / 1e6:.1f} MB is more than the limit of {max_file_bytes / 1e6:g} MB "
                "(--data.max-file-megabytes)",
            )
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise PhotoUnreadableError(name, f"cannot be read ({error.strerror})") from error
    if not content:
        raise PhotoError(name, "the file is empty")
    return content


def _length_of(path: str | os.PathLike, name: str) -> int:
    try:
        found = os.stat(path)
    except ValueError as error:
        raise PhotoError(name, "no file can have that name") from error
    # Reading a named pipe would wait for ever.
    if not stat.S_ISREG(found.st_mode):
        raise PhotoError(name, "not a file")
    return found.st_size


def _name_of(source: str | os.PathLike | bytes) -> str:
    return "photo" if isinstance(source, bytes) else os.fspath(source)

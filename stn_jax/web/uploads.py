"""Uploaded photos: held in memory only, with names that are safe to show."""

import io
from pathlib import PureWindowsPath
from typing import NamedTuple

import flask
from werkzeug.exceptions import BadRequest

FIELD = "photo"
"""The multipart field of a photo; it may be repeated."""
LONGEST_NAME = 80


class Upload(NamedTuple):
    """A file that somebody sent."""

    name: str
    content: bytes


class Request(flask.Request):
    """A request whose files stay in memory; Werkzeug writes larger ones to the disk."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> io.BytesIO:
        return io.BytesIO()


def read_uploads(request: flask.Request, *, most: int) -> list[Upload]:
    """The photos of a request.

    Raises:
      BadRequest: for none, more than `most`, or a body that is not a form.
      RequestEntityTooLarge: for more bytes than the application allows.
    """
    # A file input in which nothing was chosen still sends a part, without a name.
    files = [file for file in request.files.getlist(FIELD) if file.filename]
    if not files:
        raise BadRequest(f"No photo came: send one or more files as the form field {FIELD!r}.")
    if len(files) > most:
        raise BadRequest(f"{len(files)} photos came; at most {most} are answered at once.")
    return [Upload(clean_name(file.filename), file.read()) for file in files]


def clean_name(name: str | None) -> str:
    """The last part of a path as a short line of printable text; never used as a path."""
    last = PureWindowsPath(name or "").name
    shown = "".join(letter if letter.isprintable() else " " for letter in last).strip(". ")
    if len(shown) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        shown = f"{shown[: half - 2]} ... {shown[3 - half :]}"
    return shown or "photo"
